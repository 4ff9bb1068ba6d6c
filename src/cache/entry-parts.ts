import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkSlice, totalLength } from '../chunks.ts';
import type { ChunkRange } from '../ranges.ts';
import type { EntryInfo, Key } from './chunk-database.ts';
import { decodeEntryHead, entryHeadBytes } from './chunk-entry.ts';
import { chunksFit } from './chunk-runs.ts';

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
  const [xorb, start, end] = key;
  if (!info) return undefined;
  const chunks = { start: Math.max(wanted.start, start), end: Math.min(wanted.end, end) };
  const part = (all: ChunkRecords) => {
    const records = chunkSlice(all, chunks.start - start, chunks.end - start);
    const before = totalLength(chunkSlice(all, 0, chunks.start - start));
    return { chunks, records, length: totalLength(records), usedMs: info.usedMs, before };
  };
  if (info.place) {
    const { file, at } = info.place;
    const all = recordsFor(key, info);
    if (!all) return undefined;
    const { before, ...rest } = part(all);
    return { ...rest, file, at: at + before };
  }
  if (!(data instanceof Uint8Array)) return undefined;
  const head = data.subarray(0, entryHeadBytes({ start, end }));
  const all = decodeEntryHead(head, xorb, { start, end }, data.length);
  if (!all) return undefined;
  const { before, ...rest } = part(all);
  const position = head.length + before;
  return { ...rest, bytes: data.subarray(position, position + rest.length) };
}

/** What an entry's note says of its chunks, if that can be. */
export function recordsFor([, start, end]: Key, { records }: { records: unknown }): ChunkRecords | undefined {
  const fit = records instanceof Uint8Array && records.length === (end - start) * CHUNK_RECORD_BYTES;
  return fit && chunksFit(records) ? records : undefined;
}
