import type { ChunkRecords } from '../core/chunks.ts';
import type { Codec } from './codec.ts';

/**
 * Work that a codec does, on a worker or on the calling thread. The input's memory is moved to the worker; the rest is
 * copied. Operations are values of their own, so that a page bundles only those that it uses.
 */
export interface Operation<Rest extends readonly unknown[], Value> {
  /** Name by which a worker finds it. */
  name: string;
  run(codec: Codec, input: Uint8Array, ...rest: Rest): Value;
}

export const decodeRun = {
  name: 'decodeRun',
  run: (codec: Codec, frames: Uint8Array) => codec.decodeRun(frames),
};

export const decodeRunInPlace = {
  name: 'decodeRunInPlace',
  run: (codec: Codec, frames: Uint8Array) => codec.decodeRunInPlace(frames),
};

export const checkChunks = {
  name: 'checkChunks',
  run: (codec: Codec, bytes: Uint8Array, chunks: ChunkRecords) => codec.checkChunks(bytes, chunks),
};

export const fileHash = {
  name: 'fileHash',
  run: (codec: Codec, chunks: ChunkRecords, salt?: Uint8Array) => codec.fileHash(chunks, salt),
};
