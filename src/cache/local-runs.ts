import type { PlacedTerm } from '../cas/reconstruction.ts';
import { type ChunkRecords, chunkCount, chunkLength, chunkSlice } from '../core/chunks.ts';
import type { FileSpan, LocalPart, LocalReading } from '../core/content.ts';
import { EventLoopYielder } from '../core/event-loop.ts';
import type { ByteRange } from '../core/ranges.ts';

/** Chunks in a row that are here, and where in the wanted file they belong. */
export interface LocalRun {
  start: number;
  records: ChunkRecords;
  /** Reads some of them, in a row: how many chunks and bytes lie before them. */
  read(
    from: { start: number; records: ChunkRecords; skippedChunks: number; skippedBytes: number },
    reading: LocalReading,
  ): AsyncGenerator<FileSpan, void, undefined>;
}

/** Several parts can be read at once; one of them has to be worth opening a file. */
const MAX_PART_BYTES = 4 * 1024 * 1024;

/** The chunks of these runs that have something that is wanted, in file order. */
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

/** Ranges are ascending and apart from each other. */
function overlapsAny(range: ByteRange, ranges: readonly ByteRange[]): boolean {
  let low = 0;
  for (let high = ranges.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.end ?? 0) <= range.start) low = middle + 1;
    else high = middle;
  }
  return (ranges[low]?.start ?? Number.POSITIVE_INFINITY) < range.end;
}

/** Terms that are looked at in one task; most looks lead nowhere and take no turn of the event loop. */
const TERMS_PER_TASK = 256;

/** The terms that have something that is wanted; with turns of the event loop in between, as a file may have a hundred thousand. */
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
