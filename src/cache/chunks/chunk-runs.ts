import {
  CHUNK_RECORD_BYTES,
  ChunkRecordList,
  type ChunkRecords,
  chunkCount,
  chunkLength,
  chunkSlice,
  MAX_CHUNK_BYTES,
  MAX_XORB_CHUNKS,
  totalLength,
} from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import { HASH_BYTES, isHashHex } from '../../core/hash.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { ChunkRun } from './chunk-store.ts';

/** Computes the raw 32-byte hash of one chunk. */
export type HashChunk = (chunk: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export interface ChunkStoreOptions {
  /** Limit of the store in bytes. */
  maxBytes: number;
  hash: HashChunk;
}

/** Minimum time between updates of an entry's time of use. */
export const USE_STEP_MS = 1000;

/** Pause after failed puts: the next would probably fail as well. */
export const PUT_PAUSE_MS = 60_000;

/** Sorts ranges, and joins those that overlap or touch. */
export function mergeRanges(ranges: readonly ChunkRange[]): ChunkRange[] {
  const merged: ChunkRange[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    if (start >= end) continue;
    const last = merged.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

/** Intersects ranges with one range, and merges them. */
export function rangesWithin(ranges: readonly ChunkRange[], within: ChunkRange): ChunkRange[] {
  return mergeRanges(
    ranges.map(({ start, end }) => ({ start: Math.max(start, within.start), end: Math.min(end, within.end) })),
  );
}

/** Returns the parts of a range that are in none of the others. */
export function subtractRanges(whole: ChunkRange, held: readonly ChunkRange[]): ChunkRange[] {
  const missing: ChunkRange[] = [];
  let at = whole.start;
  for (const { start, end } of rangesWithin(held, whole)) {
    if (at < start) missing.push({ start: at, end: start });
    at = end;
  }
  if (at < whole.end) missing.push({ start: at, end: whole.end });
  return missing;
}

/** Returns the entries with this chunk, the one that extends farthest first. */
export function entriesWith<T extends ChunkRange>(entries: readonly T[], chunk: number): T[] {
  return entries.filter(({ start, end }) => start <= chunk && chunk < end).sort((a, b) => b.end - a.end);
}

/** Collects records of entries from the start of a range up to the first chunk that no entry has. */
export async function contiguousRecords<T extends ChunkRange>(
  entries: readonly T[],
  { start, end }: ChunkRange,
  recordsOf: (entry: T) => Promise<ChunkRecords | undefined>,
): Promise<ChunkRecords> {
  const row = new ChunkRecordList();
  for (let at = start; at < end; ) {
    const [entry] = entriesWith(entries, at);
    const records = entry && (await recordsOf(entry));
    if (!entry || !records) break;
    const next = Math.min(entry.end, end);
    row.push(chunkSlice(records, at - entry.start, next - entry.start));
    at = next;
  }
  return row.records.slice();
}

/** Slices a run without a copy. The range lies within the run. */
export function partOfRun(run: ChunkRun, chunks: ChunkRange): ChunkRun {
  const first = chunks.start - run.chunks.start;
  const last = chunks.end - run.chunks.start;
  const records = chunkSlice(run.records, first, last);
  const start = totalLength(chunkSlice(run.records, 0, first));
  return { chunks, records, bytes: run.bytes.subarray(start, start + totalLength(records)) };
}

/** True if a range is valid and not empty. Names and keys of entries may be anything. */
export function isXorbRange({ start, end }: ChunkRange): boolean {
  return Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= MAX_XORB_CHUNKS;
}

/** Throws `INVALID_ARGUMENT` for text that is not a xorb hash. */
export function assertXorb(xorb: string): void {
  if (!isHashHex(xorb)) throw invalid('not the hash of a xorb');
}

/** Throws `INVALID_ARGUMENT` for an inconsistent run. Hashes are checked on reading. */
export function assertRun(xorb: string, { chunks, records, bytes }: ChunkRun): void {
  assertXorb(xorb);
  const { start, end } = chunks;
  if (start !== end && !isXorbRange(chunks)) throw invalid(`no xorb has chunks ${start} to ${end}`);
  if (records.length !== (end - start) * CHUNK_RECORD_BYTES) throw invalid('as many records as chunks are needed');
  if (!chunksFit(records)) throw invalid('a chunk is too long');
  if (bytes.length !== totalLength(records)) throw invalid('the bytes are not as long as the records say');
}

function invalid(reason: string): XetError {
  return new XetError('INVALID_ARGUMENT', `A run of chunks cannot be looked up or kept: ${reason}.`);
}

/** True if all chunks are within the length limit. */
export function chunksFit(records: Uint8Array): boolean {
  for (let index = 0; index < chunkCount(records); index++) {
    if (chunkLength(records, index) > MAX_CHUNK_BYTES) return false;
  }
  return true;
}

/** Counts the leading chunks of a run that match their records. */
export async function countGood({ records, bytes }: ChunkRun, hash: HashChunk): Promise<number> {
  let position = 0;
  for (let index = 0; index < chunkCount(records); index++) {
    const end = position + chunkLength(records, index);
    const hashed = hash(bytes.subarray(position, end));
    // Awaiting each chunk would cost more than its hash.
    const digest = hashed instanceof Uint8Array ? hashed : await hashed;
    if (!sameHash(digest, records, index * CHUNK_RECORD_BYTES)) return index;
    position = end;
  }
  return chunkCount(records);
}

function sameHash(digest: Uint8Array, records: Uint8Array, at: number): boolean {
  if (digest.length !== HASH_BYTES) return false;
  for (let index = 0; index < HASH_BYTES; index++) if (digest[index] !== records[at + index]) return false;
  return true;
}

/** Verifies a run. Returns its leading good chunks, and whether its entry is to be dropped. */
export async function checkRun(
  run: ChunkRun,
  hash: HashChunk,
): Promise<{ good: ChunkRun | undefined; damaged: boolean }> {
  const { start, end } = run.chunks;
  const good = await countGood(run, hash);
  if (good === end - start) return { good: run, damaged: false };
  return { good: good === 0 ? undefined : partOfRun(run, { start, end: start + good }), damaged: true };
}
