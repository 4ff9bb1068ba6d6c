import { type ChunkRecords, chunkCount, chunkLength } from '../core/chunks.ts';
import type { ByteRange, ChunkRange } from '../core/ranges.ts';

/** Consecutive chunks of a file that are cut again. */
export interface ChunkWindow extends ByteRange {
  chunks: ChunkRange;
}

/** Chunks of this size are far from both limits of the chunker, so that its cuts are those of the content alone. */
const MIN_STABLE_BYTES = 16 * 1024;
const MAX_STABLE_BYTES = 120 * 1024;

/**
 * Windows around changed ranges, by the rule of `GET /v2/file-chunk-hashes`: a window begins with the first chunk that
 * overlaps a change and ends after two consecutive unchanged chunks of stable size, where the chunker finds the old
 * boundaries again. Ranges are half-open, sorted, and lie in the file; empty ones are skipped.
 */
export function chunkWindows(records: ChunkRecords, dirty: readonly ByteRange[]): ChunkWindow[] {
  const ranges = dirty.filter(({ start, end }) => start < end);
  const windows: ChunkWindow[] = [];
  let open: ChunkWindow | undefined;
  let cleanLength: number | undefined;
  let next = 0;
  let start = 0;
  for (let index = 0; index < chunkCount(records); index++) {
    const length = chunkLength(records, index);
    const end = start + length;
    while (next < ranges.length && (ranges[next]?.end ?? 0) <= start) next++;
    const range = ranges[next];
    const isDirty = range !== undefined && range.start < end;
    if (isDirty && !open) {
      open = { start, end, chunks: { start: index, end: index + 1 } };
      windows.push(open);
    }
    if (open) {
      open.end = end;
      open.chunks.end = index + 1;
      const resynchronized = !isDirty && cleanLength !== undefined && isStable(cleanLength) && isStable(length);
      cleanLength = isDirty ? undefined : length;
      if (resynchronized) [open, cleanLength] = [undefined, undefined];
    }
    start = end;
  }
  return windows;
}

function isStable(length: number): boolean {
  return length >= MIN_STABLE_BYTES && length < MAX_STABLE_BYTES;
}
