import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkSlice, totalLength } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { EntryInfo, Key } from './chunk-database.ts';
import { chunksFit } from './chunk-runs.ts';
import { decodeEntryHead, entryHeadBytes } from './entry-format.ts';

/** An entry as the database returns it. */
export interface StoredEntry {
  key: Key;
  info: EntryInfo | undefined;
  /** Head and bytes, or anything else. */
  data: unknown;
}

/** The wanted chunks of an entry with their bytes, or with the place of their bytes in a file. */
export type EntrySlice = { chunks: ChunkRange; records: ChunkRecords; length: number; usedMs: number } & (
  | { bytes: Uint8Array }
  | { file: string; at: number }
);

/** Slices an entry without a copy; undefined if the entry is not what its key says. */
export function sliceEntry({ key, info, data }: StoredEntry, wanted: ChunkRange): EntrySlice | undefined {
  const [, start, end] = key;
  const all = info?.place ? recordsOfInfo(key, info) : recordsOfData(key, data);
  if (!info || !all) return undefined;
  const chunks = { start: Math.max(wanted.start, start), end: Math.min(wanted.end, end) };
  const records = chunkSlice(all, chunks.start - start, chunks.end - start);
  const before = totalLength(chunkSlice(all, 0, chunks.start - start));
  const slice = { chunks, records, length: totalLength(records), usedMs: info.usedMs };
  if (info.place) return { ...slice, file: info.place.file, at: info.place.at + before };
  const at = entryHeadBytes({ start, end }) + before;
  return { ...slice, bytes: (data as Uint8Array).subarray(at, at + slice.length) };
}

/** Returns the records in the head of an entry, if it is valid. */
function recordsOfData([xorb, start, end]: Key, data: unknown): ChunkRecords | undefined {
  if (!(data instanceof Uint8Array)) return undefined;
  const chunks = { start, end };
  return decodeEntryHead(data.subarray(0, entryHeadBytes(chunks)), xorb, chunks, data.length);
}

/** Returns the records in the metadata of an entry, if they are plausible. */
export function recordsOfInfo([, start, end]: Key, { records }: { records: unknown }): ChunkRecords | undefined {
  const fit = records instanceof Uint8Array && records.length === (end - start) * CHUNK_RECORD_BYTES;
  return fit && chunksFit(records) ? records : undefined;
}

/** Number of chunks that are read at once at most: about 2 MiB. */
const MAX_READ_CHUNKS = 32;

/** Returns an entry and those that continue it, about as many as are worth one read. */
export function adjacentEntries(first: ChunkRange, entries: readonly ChunkRange[], wanted: ChunkRange): ChunkRange[] {
  const adjacent = [first];
  const limit = wanted.start + MAX_READ_CHUNKS;
  for (let last = first; last.end < Math.min(wanted.end, limit); ) {
    const next = entries.find(({ start, end }) => start === last.end && end <= limit);
    if (!next) break;
    adjacent.push(next);
    last = next;
  }
  return adjacent;
}
