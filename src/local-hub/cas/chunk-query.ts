import { type HubContext, nowSeconds } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import { maySeeShardOf } from '../hub/content-access.ts';
import { requireScope } from '../hub/xet-token.ts';
import { HubError } from '../hub-error.ts';

/** Validity of a response, in seconds. */
const KEY_LIFETIME_SECONDS = 7 * 24 * 3600;

/**
 * Answers a chunk query: the xorbs of the chunk's shard, with keyed hashes that reveal only what the client already
 * knows. Xet protocol: global deduplication.
 */
export async function sendChunkAnswer(context: HubContext, exchange: HubExchange, hash: string): Promise<void> {
  const caller = requireScope(context, exchange, 'read');
  const { codec, store, dedupKey } = context;
  const xorbs = store.dedup.lookUp(hash, (owner) => maySeeShardOf(context, caller, owner));
  if (!xorbs) throw new HubError(404, 'Chunk not found');
  const writer = codec.shardWriter();
  try {
    for (const name of xorbs) {
      const index = await store.xorbs.whole(name);
      if (index) writer.addXorb({ hash: name, chunks: index.chunks, bytesOnDisk: index.storedBytes });
    }
    const now = nowSeconds(context);
    const shard = writer.toKeyed(dedupKey, now, now + KEY_LIFETIME_SECONDS);
    await exchange.send(200, { 'content-type': 'application/octet-stream' }, shard);
  } finally {
    writer.free();
  }
}
