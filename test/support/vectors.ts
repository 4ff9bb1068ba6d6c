import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkCount, chunkLength } from '../../src/core/chunks.ts';
import { HASH_BYTES, hashFromHex } from '../../src/core/hash.ts';

type HashAndLength = [hash: string, length: number];

/** The parts of `test/vectors/vectors.json` that tests read; the README beside it explains each. */
export interface Vectors {
  aggregatedHash: { chunks: HashAndLength[]; xorbHash: string; fileHashBySalt: [salt: string, hash: string][] }[];
  chunking: {
    random1MB_seed0: number[];
    const59_1MB: number[];
    trigger: { pattern: number[]; sampleAt11111: Record<string, number>; boundaries: Record<string, number[]> };
  };
  gearTable_hex_u64: string[];
  chunkParams: { min: number; target: number; max: number; mask: string };
  keys_hex: { data: string; internalNode: string; verification: string; file: string };
  hashVectors: {
    chunk: { ascii: string; raw: string; xet: string }[];
    hexString: { rawBytes: string | number[]; xet: string }[];
    internalNode: { children: HashAndLength[]; xet: string };
    verificationRange: { chunks: string[]; xet: string };
    emptyFile: { xetCore: string; draft03_WRONG: string };
    byteGroup4: [length: number, grouped: number[]][];
  };
  derived_by_us: {
    helloWorldFile: string;
    random1MBseed0: { firstChunk: string; xorb: string; file: string; verificationAll: string };
    const59_1MB_file: string;
  };
  referenceDataset: {
    size: number;
    chunks: number;
    fileHash: string;
    xorbHash: string;
    rangeHash: string;
    sha256: string;
    dedupeKey: string;
    dedupeKeyedFirstChunks: string[];
    chunkList: HashAndLength[];
  };
}

/** Bytes of the SplitMix64 generator, the one that the chunking vectors name. */
export function splitMix64(seed: number, count: number): Uint8Array<ArrayBuffer> {
  const words = new BigUint64Array(Math.ceil(count / 8));
  let state = BigInt(seed);
  for (let index = 0; index < words.length; index++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    words[index] = z ^ (z >> 31n);
  }
  return new Uint8Array(words.buffer, 0, count);
}

/** A pattern that cuts, some zeros, and again, up to 64 KiB: chunks as short as they get. */
export function triggerData(pattern: number[], padding: number): Uint8Array {
  const unit = pattern.length + padding;
  return Uint8Array.from({ length: 65_536 }, (_, index) => pattern[index % unit] ?? 0);
}

/** The bytes of ordinary hex, as keys and digests are written. */
export function plainHex(digits: string): Uint8Array {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function recordsOf(chunks: HashAndLength[]): ChunkRecords {
  const records = new Uint8Array(chunks.length * CHUNK_RECORD_BYTES);
  const numbers = new DataView(records.buffer);
  chunks.forEach(([hash, length], index) => {
    records.set(hashFromHex(hash), index * CHUNK_RECORD_BYTES);
    numbers.setUint32(index * CHUNK_RECORD_BYTES + HASH_BYTES, length, true);
  });
  return records;
}

/** The raw hashes of a chunk list, back to back. */
export function hashesOf(records: ChunkRecords): Uint8Array {
  return concat(
    Array.from({ length: chunkCount(records) }, (_, index) =>
      records.subarray(index * CHUNK_RECORD_BYTES, index * CHUNK_RECORD_BYTES + HASH_BYTES),
    ),
  );
}

/** Where each chunk ends. */
export function endsOf(records: ChunkRecords): number[] {
  let end = 0;
  return Array.from({ length: chunkCount(records) }, (_, index) => {
    end += chunkLength(records, index);
    return end;
  });
}

export function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** For large arrays, where deep equality of a test runner takes its time. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** One frame of a xorb, with a header that says what it is told to say. */
export function frame(scheme: number, unpackedLength: number, payload: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(8));
  header.setUint32(0, payload.length * 256, true);
  header.setUint32(4, unpackedLength * 256, true);
  header.setUint8(4, scheme);
  return concat([new Uint8Array(header.buffer), payload]);
}
