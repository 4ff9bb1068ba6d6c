import { type ChunkRecords, joinBytes, totalLength } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { partOfRun, subtractRanges } from './chunk-runs.ts';
import type { ChunkRun } from './chunk-store.ts';

/** A run and its xorb. */
export interface XorbRun {
  xorb: string;
  run: ChunkRun;
}

/** An entry to be added to a store. */
export interface NewEntry {
  xorb: string;
  chunks: ChunkRange;
  records: ChunkRecords;
  /** The bytes of its chunks, in pieces. */
  pieces: Uint8Array[];
}

/**
 * Returns the parts of runs that no entry has, each chunk once.
 *
 * @param held chunk ranges of existing entries, by xorb.
 * @param fits whether there is still room for a part; parts without room are left out.
 */
export function missingRuns(
  runs: readonly XorbRun[],
  held: ReadonlyMap<string, readonly ChunkRange[]>,
  fits: (part: ChunkRun) => boolean = () => true,
): XorbRun[] {
  const known = new Map(held);
  return runs.flatMap(({ xorb, run }) => {
    const ranges = known.get(xorb) ?? [];
    const parts = subtractRanges(run.chunks, ranges)
      .map((chunks) => partOfRun(run, chunks))
      .filter(fits);
    known.set(xorb, [...ranges, ...parts.map(({ chunks }) => chunks)]);
    return parts.map((part) => ({ xorb, run: part }));
  });
}

/**
 * Joins runs that continue each other to entries of at most `maxBytes`, unless a single run is longer: entries cost a
 * file or a request each, and most browsers keep each value in a file of its own.
 */
export function coalesceRuns(runs: readonly XorbRun[], maxBytes: number): NewEntry[] {
  const entries: NewEntry[] = [];
  const inOrder = [...runs].sort((a, b) => compare(a.xorb, b.xorb) || a.run.chunks.start - b.run.chunks.start);
  for (const { xorb, run } of inOrder) {
    const last = entries.at(-1);
    const { chunks, records, bytes } = run;
    const continues = last?.xorb === xorb && last.chunks.end === chunks.start;
    if (last && continues && totalLength(last.records) + bytes.length <= maxBytes) {
      last.chunks = { start: last.chunks.start, end: chunks.end };
      last.records = joinBytes([last.records, records]);
      last.pieces.push(bytes);
    } else {
      entries.push({ xorb, chunks, records: records.slice(), pieces: [bytes] });
    }
  }
  return entries;
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b));
