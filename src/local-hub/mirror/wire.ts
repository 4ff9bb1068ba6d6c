import { type FetchRange, findRange, type Term } from '../../cas/reconstruction.ts';
import { chunkLength } from '../../core/chunks.ts';
import type { ByteRange, ChunkRange } from '../../core/ranges.ts';
import type { MirroredFile } from './reconstructions.ts';
import { findRun, runEnd, type StoredRun, unpackedBefore } from './xorb-runs.ts';

/** A part of a file as it is shown to a client. */
export interface FilePart {
  offsetIntoFirstTerm: number;
  terms: Term[];
  /** By xorb; each term lies within one of them. */
  ranges: Map<string, FetchRange[]>;
}

type RunsOf = (xorb: string) => Promise<readonly StoredRun[]>;

/**
 * The terms of a range of a file. The first and the last are cut at chunks where these are known from the store, and
 * whole elsewhere; ranges likewise.
 */
export async function partOf(file: MirroredFile, range: ByteRange, runsOf: RunsOf): Promise<FilePart> {
  const part: FilePart = { offsetIntoFirstTerm: 0, terms: [], ranges: new Map() };
  const needed = new Map<string, Map<FetchRange, ChunkRange[]>>();
  let start = 0;
  for (const term of file.found.terms) {
    const end = start + term.unpackedLength;
    if (end > range.start && start < range.end) {
      const from = range.start - start;
      const to = range.end - start;
      const cut = from > 0 || to < term.unpackedLength ? cutTerm(term, from, to, await runsOf(term.xorb)) : undefined;
      if (part.terms.length === 0) part.offsetIntoFirstTerm = Math.max(0, from) - (cut?.skipped ?? 0);
      const kept = cut?.term ?? term;
      part.terms.push(kept);
      const outer = findRange(file.found, term)?.range;
      if (!outer) throw new Error(`Xorb ${term.xorb} has no range for a term`);
      const ofXorb = needed.get(term.xorb) ?? new Map<FetchRange, ChunkRange[]>();
      needed.set(term.xorb, ofXorb);
      ofXorb.set(outer, [...(ofXorb.get(outer) ?? []), kept.chunks]);
    }
    start = end;
  }
  for (const [xorb, byOuter] of needed) {
    const runs = await runsOf(xorb);
    part.ranges.set(
      xorb,
      [...byOuter].flatMap(([outer, wanted]) => narrowed(outer, wanted, runs)),
    );
  }
  return part;
}

/** The chunks of a term that hold its bytes `from` to `to`, if all of its chunks are known. */
function cutTerm(
  term: Term,
  from: number,
  to: number,
  runs: readonly StoredRun[],
): { term: Term; skipped: number } | undefined {
  const { start, end } = term.chunks;
  let first = start;
  let last = end;
  let skipped = 0;
  let length = 0;
  let at = 0;
  for (let chunk = start; chunk < end; ) {
    const run = findRun(runs, 'chunks', chunk);
    if (!run) return undefined;
    for (const runLast = Math.min(end, runEnd(run, 'chunks')); chunk < runLast; chunk++) {
      const unpacked = chunkLength(run.chunks, chunk - run.firstChunk);
      if (at + unpacked <= from) {
        first = chunk + 1;
        skipped = at + unpacked;
      } else if (at < to) {
        last = chunk + 1;
        length += unpacked;
      }
      at += unpacked;
    }
  }
  if (at !== term.unpackedLength || last <= first) return undefined;
  return { term: { xorb: term.xorb, chunks: { start: first, end: last }, unpackedLength: length }, skipped };
}

/** Ranges for some chunks of a range: no wider than needed where the places of these chunks are known. */
function narrowed(outer: FetchRange, wanted: ChunkRange[], runs: readonly StoredRun[]): FetchRange[] {
  const joined: ChunkRange[] = [];
  for (const { start, end } of wanted.toSorted((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  const exact = joined.map((chunks): FetchRange | undefined => {
    const start = placeOf(outer, chunks.start, runs);
    const end = placeOf(outer, chunks.end, runs);
    return start === undefined || end === undefined ? undefined : { chunks, bytes: { start, end } };
  });
  return exact.every((range) => range !== undefined) ? exact : [outer];
}

/** Byte at which a chunk begins, or the one before it ends. */
function placeOf(outer: FetchRange, chunk: number, runs: readonly StoredRun[]): number | undefined {
  if (chunk === outer.chunks.start) return outer.bytes.start;
  if (chunk === outer.chunks.end) return outer.bytes.end;
  const run = findRun(runs, 'chunks', chunk - 1);
  return run && run.start + (run.ends[chunk - 1 - run.firstChunk] ?? 0);
}

/** Unpacked bytes of a run before a chunk, and up to another one. */
export function unpackedSpan(run: StoredRun, { start, end }: ChunkRange): ByteRange {
  const first = Math.max(start, run.firstChunk);
  const last = Math.min(end, runEnd(run, 'chunks'));
  return { start: unpackedBefore(run, first), end: unpackedBefore(run, last) };
}
