import type { ChunkRun } from '../../src/cache/chunks/chunk-store.ts';
import { CHUNK_RECORD_BYTES } from '../../src/core/chunks.ts';
import type { ChunkRange } from '../../src/core/ranges.ts';

/** Seeded numbers from 0 to 1, the 1 excluded. */
export function randomNumbers(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A stand-in for the hash of a chunk that runs anywhere: 32 bytes in which any changed, moved or missing byte
 * shows. Nobody attacks a test.
 */
export function sampleHash(chunk: Uint8Array): Uint8Array {
  const lanes = new Uint32Array(8).map((_, lane) => Math.imul(chunk.length + 1, 0x9e3779b1 + lane * 2));
  for (let index = 0; index < chunk.length; index++) {
    const lane = index & 7;
    const mixed = Math.imul((lanes[lane] ?? 0) ^ (chunk[index] ?? 0), 0x01000193);
    lanes[lane] = (mixed << 13) | (mixed >>> 19);
  }
  for (let round = 0; round < 24; round++) {
    const lane = round & 7;
    const next = (lane + 1) & 7;
    const mixed = Math.imul((lanes[next] ?? 0) ^ (lanes[lane] ?? 0) ^ ((lanes[lane] ?? 0) >>> 15), 0x85ebca6b);
    lanes[next] = (mixed << 7) | (mixed >>> 25);
  }
  return new Uint8Array(lanes.buffer);
}

/** Made-up xorbs: what chunk so-and-so of xorb so-and-so is, the same wherever it is asked for. */
export class SampleXorbs {
  readonly #minBytes: number;
  readonly #maxBytes: number;

  /** Lengths of chunks in bytes. */
  constructor(minBytes = 1, maxBytes = 3000) {
    this.#minBytes = minBytes;
    this.#maxBytes = maxBytes;
  }

  name(xorb: number): string {
    return xorb.toString(16).padStart(2, '0').repeat(32);
  }

  chunk(xorb: number, index: number): Uint8Array {
    const random = randomNumbers(xorb * 10_007 + index);
    const length = this.#minBytes + Math.floor(random() * (this.#maxBytes - this.#minBytes + 1));
    const chunk = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      const word = random() * 2 ** 32;
      for (let byte = 0; byte < 4 && at + byte < length; byte++) chunk[at + byte] = word >>> (byte * 8);
    }
    return chunk;
  }

  run(xorb: number, chunks: ChunkRange): ChunkRun {
    const parts = Array.from({ length: chunks.end - chunks.start }, (_, index) =>
      this.chunk(xorb, chunks.start + index),
    );
    const records = new Uint8Array(parts.length * CHUNK_RECORD_BYTES);
    parts.forEach((part, index) => {
      records.set(sampleHash(part), index * CHUNK_RECORD_BYTES);
      new DataView(records.buffer).setUint32(index * CHUNK_RECORD_BYTES + 32, part.length, true);
    });
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let position = 0;
    for (const part of parts) {
      bytes.set(part, position);
      position += part.length;
    }
    return { chunks: { ...chunks }, records, bytes };
  }

  /** Why this is not what the chunks of this xorb are; undefined if it is. */
  wrongIn(xorb: number, found: ChunkRun): string | undefined {
    const { chunks, records, bytes } = found;
    const expected = this.run(xorb, chunks);
    const where = `chunks ${chunks.start} to ${chunks.end} of xorb ${xorb}`;
    if (!sameBytes(records, expected.records)) return `wrong records of ${where}`;
    if (!sameBytes(bytes, expected.bytes)) return `wrong bytes of ${where}`;
    return undefined;
  }
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
