import type { Shard } from '../../shard/shard.ts';
import type { HubContext } from '../context.ts';
import { readBody } from '../http/body-reader.ts';
import type { Exchange } from '../http/exchange.ts';
import { requireScope } from '../hub/xet-token.ts';
import { asHubError, HubError } from '../hub-error.ts';
import { type CheckedShard, checkShard } from './check-shard.ts';

const MAX_SHARD_BYTES = 128 * 1024 * 1024;

/** `POST /v1/shards`: the answer comes when everything is done. */
export async function uploadShard(context: HubContext, exchange: Exchange): Promise<void> {
  const shard = await readShard(context, exchange, 1);
  const { checkSha256 } = context.settings;
  const checked = await checkShard(context.codec, context.store, shard, { checkSha256 });
  await exchange.json(200, { result: (await register(context, checked)) ? 1 : 0 });
}

/** `POST /v2/shards`: the status is sent before the outcome is known, which comes as the last of several lines. */
export async function uploadShardStreaming(context: HubContext, exchange: Exchange): Promise<void> {
  const shard = await readShard(context, exchange, 2);
  await exchange.send(
    200,
    { 'content-type': 'application/x-ndjson' },
    { length: undefined, pieces: registration(context, shard) },
  );
}

async function readShard(context: HubContext, exchange: Exchange, version: 1 | 2): Promise<Shard> {
  requireScope(context, exchange, 'write');
  if (!context.settings.shardVersions.includes(version)) throw new HubError(404, 'Not found');
  return context.codec.readShard(await readBody(exchange.request, MAX_SHARD_BYTES));
}

async function* registration(context: HubContext, shard: Shard): AsyncGenerator<Uint8Array, void, undefined> {
  const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`);
  const total = shard.files.length;
  yield line({ type: 'validating', verified: 0, total });
  try {
    const { checkSha256 } = context.settings;
    const checked = await checkShard(context.codec, context.store, shard, { checkSha256 });
    yield line({ type: 'validating', verified: total, total });
    yield line({ type: 'committing', stage: 'uploading' });
    yield line({ type: 'committing', stage: 'syncing' });
    await register(context, checked);
    yield line({ type: 'result' });
  } catch (error) {
    const { status, message } = asHubError(error);
    yield line({ type: 'error', message, retryable: status >= 500 });
  }
}

/** Makes the files known; says whether any was new or put together in another way. */
async function register({ store }: HubContext, { files, xorbs }: CheckedShard): Promise<boolean> {
  let changed = false;
  for (const file of files) {
    const before = await store.files.file(file.hash);
    if (JSON.stringify(before) === JSON.stringify(file)) continue;
    await store.files.add(file);
    changed = true;
  }
  await store.dedup.add(xorbs, files);
  return changed;
}
