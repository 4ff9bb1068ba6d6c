import type { ChunkRecords } from '../core/chunks.ts';
import type { CheckedChunks } from './codec.ts';
import type { CodecPool } from './pool.ts';

/** How many of these chunks, from the first on, are what their records say; the bytes are moved there and back. */
export function checkChunks(
  pool: CodecPool,
  bytes: Uint8Array,
  chunks: ChunkRecords,
  signal?: AbortSignal,
): Promise<CheckedChunks> {
  // A view would be cloned with all of the memory that it is a view of.
  return pool.run('checkChunks', bytes, [chunks.slice()], signal);
}
