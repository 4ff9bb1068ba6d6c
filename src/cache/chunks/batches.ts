import { type ChunkRecords, joinBytes, totalLength } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { partOfRun, subtractRanges } from './chunk-runs.ts';
import type { ChunkRun } from './chunk-store.ts';
import { entryBytes } from './entry-format.ts';
import type { FilePlace } from './opfs-chunk-files.web.ts';

/** What an entry takes beside its bytes: keys, index, and what the browser adds. */
const OVERHEAD_BYTES = 1024;
/** What is one entry at most, where runs come in a row: a short read has to load all of it from the database. */
const MAX_ENTRY_BYTES = 1024 * 1024;
/** Chunks of entries in a row that are read at once: about 2 MiB. */
const MAX_READ_CHUNKS = 32;
/** A run, and the xorb that it is of. */
export interface XorbRun {
  xorb: string;
  run: ChunkRun;
}

/** What an entry of these chunks counts against the limit. */
export const storedBytes = (run: Pick<ChunkRun, 'chunks' | 'records'>) => entryBytes(run) + OVERHEAD_BYTES;

/** Entries to be added. */
export interface NewEntry {
  xorb: string;
  chunks: ChunkRange;
  records: ChunkRecords;
  pieces: Uint8Array[];
  /** Where its bytes are, if they have been written to a file. */
  place?: FilePlace;
}

/** Runs that go on where others end, as one: most browsers make a file of each value. No row gets much longer than {@link MAX_ENTRY_BYTES}. */
export function coalesceRuns(runs: readonly XorbRun[]): NewEntry[] {
  const rows: NewEntry[] = [];
  const inOrder = [...runs].sort((a, b) => compare(a.xorb, b.xorb) || a.run.chunks.start - b.run.chunks.start);
  for (const { xorb, run } of inOrder) {
    const last = rows.at(-1);
    const { chunks, records, bytes } = run;
    const goesOn = last?.xorb === xorb && last.chunks.end === chunks.start;
    if (last && goesOn && totalLength(last.records) + bytes.length <= MAX_ENTRY_BYTES) {
      last.chunks = { start: last.chunks.start, end: chunks.end };
      last.records = joinBytes([last.records, records]);
      last.pieces.push(bytes);
    } else {
      rows.push({ xorb, chunks, records: records.slice(), pieces: [bytes] });
    }
  }
  return rows;
}

/** Rows one after the other in a file. */
export function placeInFile(file: string, rows: readonly NewEntry[]): NewEntry[] {
  let at = 0;
  return rows.map((row) => {
    const placed = { ...row, place: { file, at } };
    at += totalLength(row.records);
    return placed;
  });
}

/** What of some runs none of the entries of their xorbs has, as far as there is room, in bytes. */
export function missingRuns(
  runs: readonly XorbRun[],
  entries: ReadonlyMap<string, readonly ChunkRange[]>,
  roomBytes: number,
): XorbRun[] {
  const held = new Map(entries);
  let room = roomBytes;
  return runs.flatMap(({ xorb, run }) => {
    const ranges = held.get(xorb) ?? [];
    const parts = subtractRanges(run.chunks, ranges)
      .map((chunks) => partOfRun(run, chunks))
      .filter((part) => {
        const fits = storedBytes(part) <= room;
        if (fits) room -= storedBytes(part);
        return fits;
      });
    held.set(xorb, [...ranges, ...parts.map(({ chunks }) => chunks)]);
    return parts.map((part) => ({ xorb, run: part }));
  });
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b));

/** An entry and those that go on where it ends, about as many as are worth one reading. */
export function adjacentEntries(first: ChunkRange, entries: readonly ChunkRange[], wanted: ChunkRange): ChunkRange[] {
  const row = [first];
  const most = wanted.start + MAX_READ_CHUNKS;
  for (let last = first; last.end < Math.min(wanted.end, most); ) {
    const next = entries.find(({ start, end }) => start === last.end && end <= most);
    if (!next) break;
    row.push(next);
    last = next;
  }
  return row;
}
