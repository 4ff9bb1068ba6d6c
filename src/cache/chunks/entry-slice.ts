import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkSlice, totalLength } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { EntryInfo, Key } from './chunk-database.ts';
import { chunksFit } from './chunk-runs.ts';
import { decodeEntryHead, entryHeadBytes } from './entry-format.ts';

export interface StoredEntry {
  key: Key;
  info: EntryInfo | undefined;
  /** Whatever is there. */
  data: unknown;
}

/** The wanted chunks of an entry: their bytes, or where they are. */
export type EntryPart = { chunks: ChunkRange; records: ChunkRecords; length: number; usedMs: number } & (
  | { bytes: Uint8Array }
  | { file: string; at: number }
);

/** Without a copy; undefined if the entry is not what its key says. */
export function partOf({ key, info, data }: StoredEntry, wanted: ChunkRange): EntryPart | undefined {
  const [, start, end] = key;
  const all = info?.place ? recordsFor(key, info) : recordsIn(key, data);
  if (!info || !all) return undefined;
  const chunks = { start: Math.max(wanted.start, start), end: Math.min(wanted.end, end) };
  const records = chunkSlice(all, chunks.start - start, chunks.end - start);
  const before = totalLength(chunkSlice(all, 0, chunks.start - start));
  const part = { chunks, records, length: totalLength(records), usedMs: info.usedMs };
  if (info.place) return { ...part, file: info.place.file, at: info.place.at + before };
  const at = entryHeadBytes({ start, end }) + before;
  return { ...part, bytes: (data as Uint8Array).subarray(at, at + part.length) };
}

/** What the head of an entry in the database says of its chunks, if it is one. */
function recordsIn([xorb, start, end]: Key, data: unknown): ChunkRecords | undefined {
  if (!(data instanceof Uint8Array)) return undefined;
  const chunks = { start, end };
  return decodeEntryHead(data.subarray(0, entryHeadBytes(chunks)), xorb, chunks, data.length);
}

/** What an entry's note says of its chunks, if that can be. */
export function recordsFor([, start, end]: Key, { records }: { records: unknown }): ChunkRecords | undefined {
  const fit = records instanceof Uint8Array && records.length === (end - start) * CHUNK_RECORD_BYTES;
  return fit && chunksFit(records) ? records : undefined;
}
