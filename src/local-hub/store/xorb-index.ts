import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkCount, chunkLength } from '../../core/chunks.ts';
import type { ByteRange, ChunkRange } from '../../core/ranges.ts';
import { FRAME_HEADER_BYTES } from '../../xorb/frames.ts';

/** Index of a stored xorb. */
export class StoredXorbIndex {
  readonly hash: string;
  readonly chunks: ChunkRecords;
  /** Offset behind each chunk's frame in the stored body, in bytes. */
  readonly ends: Uint32Array;
  /** Uncompressed offset of each chunk, and of the end. */
  readonly unpacked: Float64Array;

  constructor(hash: string, chunks: ChunkRecords, ends: Uint32Array) {
    this.hash = hash;
    this.chunks = chunks;
    this.ends = ends;
    this.unpacked = new Float64Array(ends.length + 1);
    for (let index = 0; index < ends.length; index++) {
      this.unpacked[index + 1] = (this.unpacked[index] ?? 0) + chunkLength(chunks, index);
    }
  }

  get count(): number {
    return this.ends.length;
  }

  get storedBytes(): number {
    return this.ends.at(-1) ?? 0;
  }

  get unpackedBytes(): number {
    return this.unpacked.at(-1) ?? 0;
  }

  /** Byte range of a run of chunks in the stored body. */
  bytes(range: ChunkRange): ByteRange {
    return { start: range.start === 0 ? 0 : (this.ends[range.start - 1] ?? 0), end: this.ends[range.end - 1] ?? 0 };
  }

  /** Uncompressed bytes of a run of chunks. */
  unpackedLength(range: ChunkRange): number {
    return (this.unpacked[range.end] ?? 0) - (this.unpacked[range.start] ?? 0);
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(this.count * (CHUNK_RECORD_BYTES + 4));
    bytes.set(this.chunks);
    const numbers = new DataView(bytes.buffer);
    this.ends.forEach((end, index) => {
      numbers.setUint32(this.chunks.length + index * 4, end, true);
    });
    return bytes;
  }

  /** `undefined` where the bytes are not those of an index: it was cut off. */
  static read(hash: string, bytes: Uint8Array): StoredXorbIndex | undefined {
    const count = bytes.length / (CHUNK_RECORD_BYTES + 4);
    if (!Number.isInteger(count) || count === 0) return undefined;
    const chunks = bytes.subarray(0, count * CHUNK_RECORD_BYTES);
    const numbers = new DataView(bytes.buffer, bytes.byteOffset + chunks.length, count * 4);
    const ends = Uint32Array.from({ length: count }, (_, index) => numbers.getUint32(index * 4, true));
    return new StoredXorbIndex(hash, chunks, ends);
  }
}

/** Offsets behind each frame of a run of whole frames. */
export function frameEnds(frames: Uint8Array, chunks: ChunkRecords, start = 0): number[] {
  const ends: number[] = [];
  let at = 0;
  for (let index = 0; index < chunkCount(chunks); index++) {
    const compressed = (frames[at + 1] ?? 0) | ((frames[at + 2] ?? 0) << 8) | ((frames[at + 3] ?? 0) << 16);
    at += FRAME_HEADER_BYTES + compressed;
    ends.push(start + at);
  }
  return ends;
}
