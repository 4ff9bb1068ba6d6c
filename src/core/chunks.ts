import { HASH_BYTES, hashToHex, requireBytes } from './hash.ts';

/**
 * A list of chunks in its one binary form: for each, the raw 32-byte hash and the uncompressed length as a
 * 32-bit little-endian number. The codec takes and gives it; nothing on a hot path turns it into objects.
 */
export type ChunkRecords = Uint8Array;

/** Bytes of one chunk in {@link ChunkRecords}. */
export const CHUNK_RECORD_BYTES = HASH_BYTES + 4;

/** Largest uncompressed chunk, in bytes. Xet protocol: content-defined chunking. */
export const MAX_CHUNK_BYTES = 128 * 1024;

/** Maximum number of chunks in a xorb: a limit of the protocol. */
export const MAX_XORB_CHUNKS = 8192;

/** Number of chunks in records. */
export function chunkCount(records: ChunkRecords): number {
  requireBytes(records);
  return records.length / CHUNK_RECORD_BYTES;
}

/** Uncompressed length of a chunk, in bytes. */
export function chunkLength(records: ChunkRecords, index: number): number {
  requireBytes(records);
  const at = index * CHUNK_RECORD_BYTES + HASH_BYTES;
  return (
    ((records[at] ?? 0) |
      ((records[at + 1] ?? 0) << 8) |
      ((records[at + 2] ?? 0) << 16) |
      ((records[at + 3] ?? 0) << 24)) >>>
    0
  );
}

/** The hash of a chunk as text, 64 digits as the protocol writes them. */
export function chunkHashHex(records: ChunkRecords, index: number): string {
  requireBytes(records);
  return hashToHex(records, index * CHUNK_RECORD_BYTES);
}

/** The records of the chunks `start` (included) to `end` (excluded), without a copy. */
export function chunkSlice(records: ChunkRecords, start: number, end: number): ChunkRecords {
  requireBytes(records);
  return records.subarray(start * CHUNK_RECORD_BYTES, end * CHUNK_RECORD_BYTES);
}

/** The raw hashes of chunks, back to back. */
export function chunkHashes(records: ChunkRecords): Uint8Array {
  const hashes = new Uint8Array(chunkCount(records) * HASH_BYTES);
  for (let index = 0; index < chunkCount(records); index++) {
    const at = index * CHUNK_RECORD_BYTES;
    hashes.set(records.subarray(at, at + HASH_BYTES), index * HASH_BYTES);
  }
  return hashes;
}

/** Sum of the uncompressed lengths, in bytes. */
export function totalLength(records: ChunkRecords): number {
  let total = 0;
  for (let index = 0; index < chunkCount(records); index++) total += chunkLength(records, index);
  return total;
}

/** Records of bytes whose chunks are unknown. */
export const NO_CHUNKS: ChunkRecords = new Uint8Array();

/** Bytes of arrays together. */
export function joinedLength(arrays: readonly Uint8Array[]): number {
  return arrays.reduce((sum, { length }) => sum + length, 0);
}

/** Arrays one after the other, in memory of their own. */
export function joinBytes(arrays: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(joinedLength(arrays));
  let at = 0;
  for (const array of arrays) {
    whole.set(array, at);
    at += array.length;
  }
  return whole;
}

/** Gathers records as they come, growing by doubling. */
export class ChunkRecordList {
  #bytes = new Uint8Array(64 * CHUNK_RECORD_BYTES);
  #used = 0;

  push(records: ChunkRecords): void {
    const needed = this.#used + records.length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = larger;
    }
    this.#bytes.set(records, this.#used);
    this.#used = needed;
  }

  clear(): void {
    this.#used = 0;
  }

  get count(): number {
    return this.#used / CHUNK_RECORD_BYTES;
  }

  /** A view that the next push may leave behind. */
  get records(): ChunkRecords {
    return this.#bytes.subarray(0, this.#used);
  }
}
