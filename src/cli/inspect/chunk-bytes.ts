import type { ChunkRange } from '../../core/ranges.ts';

/** Consecutive chunks of a xorb and their uncompressed bytes. */
export interface ChunkBytes {
  chunks: ChunkRange;
  bytes: number;
}

/**
 * Chunks that terms use, each once, by xorb: ascending and disjoint. Where terms overlap in part, the bytes of the overlap
 * are estimated from the average chunk of the term, as a reconstruction gives no lengths of single chunks.
 */
export function distinctChunks(
  terms: readonly { xorb: string; chunks: ChunkRange; unpackedLength: number }[],
): Map<string, ChunkBytes[]> {
  const byXorb = new Map<string, ChunkBytes[]>();
  for (const { xorb, chunks, unpackedLength } of terms) {
    const parts = byXorb.get(xorb);
    const part = { chunks, bytes: unpackedLength };
    if (parts) parts.push(part);
    else byXorb.set(xorb, [part]);
  }
  for (const [xorb, parts] of byXorb) byXorb.set(xorb, disjoint(parts));
  return byXorb;
}

function disjoint(parts: readonly ChunkBytes[]): ChunkBytes[] {
  const sorted = [...parts].sort((a, b) => a.chunks.start - b.chunks.start || b.chunks.end - a.chunks.end);
  const kept: ChunkBytes[] = [];
  let reached = 0;
  for (const part of sorted) {
    const { start, end } = part.chunks;
    if (end <= reached) continue;
    const chunks = { start: Math.max(start, reached), end };
    kept.push({ chunks, bytes: share(part, chunks) });
    reached = end;
  }
  return kept;
}

/** Bytes of `part` that lie in chunks of `others`, which are ascending and disjoint; estimated as in {@link distinctChunks}. */
export function bytesOfChunks(part: ChunkBytes, others: readonly ChunkBytes[]): number {
  let bytes = 0;
  for (let index = firstAfter(others, part.chunks.start); index < others.length; index++) {
    const other = others[index];
    if (!other || other.chunks.start >= part.chunks.end) break;
    bytes += share(part, {
      start: Math.max(part.chunks.start, other.chunks.start),
      end: Math.min(part.chunks.end, other.chunks.end),
    });
  }
  return bytes;
}

function share({ chunks, bytes }: ChunkBytes, part: ChunkRange): number {
  return Math.round((bytes * (part.end - part.start)) / (chunks.end - chunks.start));
}

/** Index of the first range that ends after a chunk. */
function firstAfter(ranges: readonly ChunkBytes[], chunk: number): number {
  let low = 0;
  for (let high = ranges.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.chunks.end ?? 0) <= chunk) low = middle + 1;
    else high = middle;
  }
  return low;
}
