import type { ChunkRecords } from '../src/chunks.ts';
import type { Codec } from '../src/codec/codec.ts';
import type { uploadOperations } from './upload-operations.ts';

/**
 * What can be asked of a codec wherever it runs. The first argument is the data: it is moved to the worker,
 * not copied, and comes back after a trap.
 */
export const operations = {
  decodeRun: (codec: Codec, frames: Uint8Array) => codec.decodeRun(frames),
  decodeRunInPlace: (codec: Codec, frames: Uint8Array) => codec.decodeRunInPlace(frames),
  chunkHash: (codec: Codec, chunk: Uint8Array) => codec.chunkHash(chunk),
  checkChunks: (codec: Codec, bytes: Uint8Array, chunks: ChunkRecords) => codec.checkChunks(bytes, chunks),
  xorbHash: (codec: Codec, chunks: ChunkRecords) => codec.xorbHash(chunks),
  fileHash: (codec: Codec, chunks: ChunkRecords, salt?: Uint8Array) => codec.fileHash(chunks, salt),
  verificationHash: (codec: Codec, hashes: Uint8Array) => codec.verificationHash(hashes),
  keyedHashes: (codec: Codec, hashes: Uint8Array, key: Uint8Array) => codec.keyedHashes(hashes, key),
};

/** Those of an upload are a table of their own, so that pages that only read need not load them. */
type AllOperations = typeof operations & typeof uploadOperations;
export type OperationName = keyof AllOperations;
type Tail<A> = A extends [Codec, Uint8Array, ...infer Rest] ? Rest : never;
/** What an operation takes after its data. */
export type OperationArguments<N extends OperationName> = Tail<Parameters<AllOperations[N]>>;
export type OperationResult<N extends OperationName> = ReturnType<AllOperations[N]>;

/** Operations that can be done on this thread. */
export type OperationTable = Partial<AllOperations>;

/** An operation by name; the types of its arguments were checked where it was asked for. */
export function operate(
  table: OperationTable,
  codec: Codec,
  name: OperationName,
  input: Uint8Array,
  rest: readonly unknown[],
): unknown {
  const operation = table[name] as (codec: Codec, input: Uint8Array, ...rest: unknown[]) => unknown;
  return operation(codec, input, ...rest);
}
