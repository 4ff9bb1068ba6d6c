import type { PlacedTerm } from '../cas/reconstruction.ts';
import { type ChunkRecords, chunkCount, chunkLength, chunkSlice } from '../core/chunks.ts';
import type { FileSpan, LocalPart, LocalReading } from '../core/content.ts';
import { EventLoopYielder } from '../core/event-loop.ts';
import type { ByteRange } from '../core/ranges.ts';

/** Consecutive chunks that are locally available, and their place in the wanted file. */
export interface LocalRun {
  start: number;
  records: ChunkRecords;
  /** Reads consecutive chunks of the run, which follow the skipped chunks and bytes. */
  read(
    from: { start: number; records: ChunkRecords; skippedChunks: number; skippedBytes: number },
    reading: LocalReading,
  ): AsyncGenerator<FileSpan, void, undefined>;
}

/** Maximum size of a part. Parts are read in parallel, and each has to be worth opening a file. */
const MAX_PART_BYTES = 4 * 1024 * 1024;

/** Returns the chunks of runs that overlap the wanted ranges, in file order. */
export function localPartsOf(found: readonly LocalRun[], wanted: readonly ByteRange[]): LocalPart[] {
  const parts = found.flatMap((run) => {
    const cut: LocalPart[] = [];
    const count = chunkCount(run.records);
    let at = run.start;
    for (let first = 0; first < count; ) {
      const start = at;
      let last = first;
      for (; last < count; last++) {
        const end = at + chunkLength(run.records, last);
        if (!overlapsAny({ start: at, end }, wanted) || end - start > MAX_PART_BYTES) break;
        at = end;
      }
      if (last > first) cut.push(partOf(run, first, last, start, at));
      else at += chunkLength(run.records, last++);
      first = last;
    }
    return cut;
  });
  return parts.sort((a, b) => a.start - b.start);
}

function partOf(run: LocalRun, first: number, last: number, start: number, end: number): LocalPart {
  const records = chunkSlice(run.records, first, last);
  const from = { start, records, skippedChunks: first, skippedBytes: start - run.start };
  return { start, end, chunks: records, read: (reading) => run.read(from, reading) };
}

/** True if a range overlaps any of these ascending, disjoint ranges. */
function overlapsAny(range: ByteRange, ranges: readonly ByteRange[]): boolean {
  let low = 0;
  for (let high = ranges.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.end ?? 0) <= range.start) low = middle + 1;
    else high = middle;
  }
  return (ranges[low]?.start ?? Number.POSITIVE_INFINITY) < range.end;
}

/** Terms examined per task: most need no I/O, which would yield. */
const TERMS_PER_TASK = 256;

/** Yields the terms that overlap the wanted ranges. Yields to the event loop too, because files may have 100,000 terms. */
export async function* overlappingTerms(
  terms: readonly PlacedTerm[],
  wanted: readonly ByteRange[],
  signal: AbortSignal,
): AsyncGenerator<PlacedTerm, void, undefined> {
  const turns = new EventLoopYielder(TERMS_PER_TASK);
  let next = 0;
  for (const term of terms) {
    signal.throwIfAborted();
    while ((wanted[next]?.end ?? Number.POSITIVE_INFINITY) <= term.at) next++;
    if ((wanted[next]?.start ?? Number.POSITIVE_INFINITY) < term.at + term.unpackedLength) yield term;
    await turns.after(1);
  }
}
