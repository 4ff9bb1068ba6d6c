import type { Shard } from '../../codec/shard.ts';
import type { Caller } from '../caller.ts';
import type { HubContext } from '../context.ts';
import { readBody } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { pause } from '../http/pause.ts';
import { requireScope } from '../hub/xet-token.ts';
import { asHubError, errorText, HubError } from '../hub-error.ts';
import { type CheckedShard, checkShard } from './check-shard.ts';

const SAY_EVERY_MS = 5000;
const MAX_SHARD_BYTES = 128 * 1024 * 1024;

/** `POST /v1/shards`: the answer comes when everything is done. */
export async function uploadShard(context: HubContext, exchange: HubExchange): Promise<void> {
  const { caller, shard } = await readShard(context, exchange, 1);
  const { checkSha256 } = context.settings;
  const checked = await checkShard(context.codec, context.store, shard, { checkSha256 });
  await exchange.json(200, { result: (await register(context, caller, checked)) ? 1 : 0 });
}

/** `POST /v2/shards`: the status is sent before the outcome is known, which comes as the last of several lines. */
export async function uploadShardStreaming(context: HubContext, exchange: HubExchange): Promise<void> {
  const { caller, shard } = await readShard(context, exchange, 2);
  await exchange.send(
    200,
    { 'content-type': 'application/x-ndjson' },
    { length: undefined, pieces: registration(context, caller, shard) },
  );
}

async function readShard(context: HubContext, exchange: HubExchange, version: 1 | 2) {
  const caller = requireScope(context, exchange, 'write');
  if (!context.settings.shardVersions.includes(version)) throw new HubError(404, 'Not found');
  return { caller, shard: context.codec.readShard(await readBody(exchange.request, MAX_SHARD_BYTES)) };
}

async function* registration(
  context: HubContext,
  caller: Caller,
  shard: Shard,
): AsyncGenerator<Uint8Array, void, undefined> {
  const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`);
  const total = shard.files.length;
  yield line({ type: 'validating', verified: 0, total });
  try {
    const { checkSha256 } = context.settings;
    let verified = 0;
    const onFile = () => verified++;
    const checking = checkShard(context.codec, context.store, shard, { checkSha256, onFile });
    // A client takes a long silence for a broken connection, and large files take long to hash.
    while (!(await settled(checking, SAY_EVERY_MS))) yield line({ type: 'validating', verified, total });
    const checked = await checking;
    yield line({ type: 'validating', verified: total, total });
    yield line({ type: 'committing', stage: 'uploading' });
    yield line({ type: 'committing', stage: 'syncing' });
    await register(context, caller, checked);
    yield line({ type: 'result' });
  } catch (error) {
    const { status, message } = asHubError(error);
    if (status >= 500) context.settings.log?.(`Failed: shard upload: ${errorText(error)}`);
    yield line({ type: 'error', message, retryable: status >= 500 });
  }
}

/** True if it is settled when so much time has passed, or earlier. */
async function settled(work: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const waited = pause(ms, timer.signal).then(() => false);
  const done = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([done, waited]);
  } finally {
    timer.abort();
  }
}

/** Makes the files known; says whether any was new or put together in another way. */
async function register({ store }: HubContext, caller: Caller, { files, xorbs }: CheckedShard): Promise<boolean> {
  let changed = false;
  for (const file of files) {
    await store.uploads.addFile(caller, file.hash);
    const before = await store.files.file(file.hash);
    if (JSON.stringify(before) === JSON.stringify(file)) continue;
    await store.files.add(file);
    changed = true;
  }
  await store.dedup.add(xorbs, files, caller);
  return changed;
}
