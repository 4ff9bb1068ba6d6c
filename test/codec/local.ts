import type { Codec } from '../../src/codec/codec.ts';
import { concat } from '../support/vectors.ts';
import type { VectorCodec } from './suite.ts';

/** The codec of this thread, in the shape that the vector suite takes. */
export function localVectorCodec(codec: Codec): VectorCodec {
  return {
    chunk: async (data, splits) => chunkInPieces(codec, data, splits),
    chunkHash: async (chunk) => codec.chunkHash(chunk),
    xorbHash: async (chunks) => codec.xorbHash(chunks),
    fileHash: async (chunks, salt) => codec.fileHash(chunks, salt),
    verificationHash: async (hashes) => codec.verificationHash(hashes),
    keyedHashes: async (hashes, key) => codec.keyedHashes(hashes, key),
    decodeRun: async (frames) => codec.decodeRun(frames),
    serializeXorb: async (...args) => codec.serializeXorb(...args),
  };
}

/** The records of the data, pushed in pieces that end at the given ascending offsets and at its end. */
export function chunkInPieces(codec: Codec, data: Uint8Array, splits: number[]): Uint8Array {
  const chunker = codec.chunker();
  try {
    const ends = [...splits, data.length];
    return concat(
      ends.map((end, index) => chunker.push(data.subarray(ends[index - 1] ?? 0, end), index === ends.length - 1)),
    );
  } finally {
    chunker.free();
  }
}
