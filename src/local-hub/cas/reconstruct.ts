import type { ByteRange, ChunkRange } from '../../core/ranges.ts';
import type { FileRecord } from '../store/file-store.ts';
import type { StoredXorbIndex } from '../store/xorb-index.ts';

/** A term of an answer: no more chunks than the asked bytes need. */
export interface AnsweredTerm {
  xorb: string;
  chunks: ChunkRange;
  unpackedLength: number;
}

/** One run of a xorb to fetch. */
export interface WireRange {
  chunks: ChunkRange;
  bytes: ByteRange;
}

export interface WireReconstruction {
  /** Unpacked bytes of the first term that come before the asked range. */
  offsetIntoFirstRange: number;
  terms: AnsweredTerm[];
  /** Ranges to fetch of each xorb, in chunk order; every term lies in one of its xorb's ranges. */
  fetches: Map<string, WireRange[]>;
}

/** Reconstruction of a range of a file. `indexes` holds every xorb of the file. */
export function reconstruct(
  file: FileRecord,
  indexes: Map<string, StoredXorbIndex>,
  range: ByteRange,
  mergeTouching: boolean,
): WireReconstruction {
  const terms: AnsweredTerm[] = [];
  let offsetIntoFirstRange = 0;
  let start = 0;
  for (const term of file.terms) {
    const end = start + term.unpackedLength;
    const index = indexes.get(term.xorb);
    if (end > range.start && start < range.end && index) {
      const chunks = chunksFor(index, term.chunks, range.start - start, range.end - start);
      if (terms.length === 0) {
        offsetIntoFirstRange =
          range.start - start - index.unpackedLength({ start: term.chunks.start, end: chunks.start });
      }
      terms.push({ xorb: term.xorb, chunks, unpackedLength: index.unpackedLength(chunks) });
    }
    start = end;
  }
  return { offsetIntoFirstRange, terms, fetches: fetchesFor(terms, indexes, mergeTouching) };
}

/** The chunks of a term that hold its bytes `from` to `to`, which may lie outside it. */
function chunksFor(index: StoredXorbIndex, { start, end }: ChunkRange, from: number, to: number): ChunkRange {
  let first = start;
  let last = end;
  while (first + 1 < end && index.unpackedLength({ start, end: first + 1 }) <= from) first++;
  while (last - 1 > first && index.unpackedLength({ start, end: last - 1 }) >= to) last--;
  return { start: first, end: last };
}

function fetchesFor(
  terms: AnsweredTerm[],
  indexes: Map<string, StoredXorbIndex>,
  mergeTouching: boolean,
): Map<string, WireRange[]> {
  const runs = new Map<string, ChunkRange[]>();
  for (const { xorb, chunks } of terms) {
    const known = runs.get(xorb);
    if (known) known.push(chunks);
    else runs.set(xorb, [chunks]);
  }
  const fetches = new Map<string, WireRange[]>();
  for (const [xorb, ranges] of runs) {
    const index = indexes.get(xorb);
    if (!index) continue;
    const joined = joinRanges(ranges, mergeTouching);
    fetches.set(
      xorb,
      joined.map((chunks) => ({ chunks, bytes: index.bytes(chunks) })),
    );
  }
  return fetches;
}

/** Overlapping ranges as one; with `touching` also those that meet. */
function joinRanges(ranges: ChunkRange[], touching: boolean): ChunkRange[] {
  const joined: ChunkRange[] = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    const last = joined.at(-1);
    if (last && (touching ? start <= last.end : start < last.end)) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined;
}
