import type { Codec } from '../codec/codec.ts';
import {
  CHUNK_RECORD_BYTES,
  type ChunkRecords,
  chunkCount,
  chunkLength,
  chunkSlice,
  MAX_CHUNK_BYTES,
  totalLength,
} from '../core/chunks.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { HeldPart } from './place.ts';

/** Bytes that were written to a partial file, and the chunks that they are, if that was known. */
export interface JournalEntry extends ByteRange {
  chunks: ChunkRecords;
}

/** Parts of an unfinished file that an earlier try left. */
export interface Left {
  held: HeldPart[];
  unchecked: ByteRange[];
}

/** Offset in the file (u64), bytes (u32), chunks that they are (u32), all little-endian; then a record for each. */
const ENTRY_BYTES = 16;
/** Runs are hashed again in one piece; none is nearly as long as this. */
const MAX_RUN_BYTES = 64 * 1024 * 1024;

/** @param bytes less than 4 GiB. `chunks` are exactly these bytes, or none. */
export function encodeEntry(at: number, bytes: number, chunks: ChunkRecords): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES + chunks.length);
  const view = new DataView(entry.buffer);
  view.setBigUint64(0, BigInt(at), true);
  view.setUint32(8, bytes, true);
  view.setUint32(12, chunkCount(chunks), true);
  entry.set(chunks, ENTRY_BYTES);
  return entry;
}

/** The entries of a journal, up to the first that makes no sense: the process may have died while writing it. */
export function decodeEntries(journal: Uint8Array, fileSize: number): JournalEntry[] {
  const view = new DataView(journal.buffer, journal.byteOffset, journal.byteLength);
  const entries: JournalEntry[] = [];
  for (let at = 0; at + ENTRY_BYTES <= journal.length; ) {
    const start = Number(view.getBigUint64(at, true));
    const bytes = view.getUint32(at + 8, true);
    const length = view.getUint32(at + 12, true) * CHUNK_RECORD_BYTES;
    const chunks = journal.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + length);
    if (bytes === 0 || start + bytes > fileSize || chunks.length < length) break;
    if (length > 0 && (bytes > MAX_RUN_BYTES || lengthIfPossible(chunks) !== bytes)) break;
    entries.push({ start, end: start + bytes, chunks });
    at += ENTRY_BYTES + length;
  }
  return entries;
}

function lengthIfPossible(chunks: ChunkRecords): number | undefined {
  let total = 0;
  for (let index = 0; index < chunkCount(chunks); index++) {
    const length = chunkLength(chunks, index);
    if (length > MAX_CHUNK_BYTES) return undefined;
    total += length;
  }
  return total;
}

/** Entries that do not overlap, in file order; of two that do, the one that was written first is dropped. */
export function withoutOverlaps(entries: readonly JournalEntry[]): JournalEntry[] {
  const kept: JournalEntry[] = [];
  const order = entries
    .map((entry, age) => ({ entry, age }))
    .sort((a, b) => a.entry.start - b.entry.start || a.age - b.age);
  const ages: number[] = [];
  for (const { entry, age } of order) {
    while ((kept.at(-1)?.end ?? 0) > entry.start && (ages.at(-1) ?? 0) < age) {
      kept.pop();
      ages.pop();
    }
    if ((kept.at(-1)?.end ?? 0) > entry.start) continue;
    kept.push(entry);
    ages.push(age);
  }
  return kept;
}

/** The runs of chunks that are what their records say. `bytes` may end early. */
export function rightParts(codec: Codec, bytes: Uint8Array, start: number, chunks: ChunkRecords): HeldPart[] {
  const parts: HeldPart[] = [];
  let at = 0;
  for (let first = 0; first < chunkCount(chunks); ) {
    const { good } = codec.checkChunks(bytes.subarray(at), chunkSlice(chunks, first, chunkCount(chunks)));
    const run = chunkSlice(chunks, first, first + good);
    const length = totalLength(run);
    if (good > 0) parts.push({ start: start + at, end: start + at + length, chunks: run.slice() });
    at += length + (first + good < chunkCount(chunks) ? chunkLength(chunks, first + good) : 0);
    first += good + 1;
  }
  return parts;
}
