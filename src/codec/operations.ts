import type { Codec } from './codec.ts';
import type { uploadOperations } from './upload-operations.ts';

/** Methods of a codec that take data first, and can be asked for wherever it runs. */
type CodecMethod =
  | 'decodeRun'
  | 'decodeRunInPlace'
  | 'chunkHash'
  | 'checkChunks'
  | 'xorbHash'
  | 'fileHash'
  | 'verificationHash'
  | 'keyedHashes';

type Tail<A> = A extends [Uint8Array, ...infer Rest] ? Rest : never;
type TailAfterCodec<A> = A extends [Codec, ...infer Rest] ? Tail<Rest> : never;

/** What can be asked of a codec. The data is moved to the worker, not copied, and comes back after a trap. */
export type OperationName = CodecMethod | keyof typeof uploadOperations;
/** What an operation takes after its data. */
export type OperationArguments<N extends OperationName> = N extends keyof typeof uploadOperations
  ? TailAfterCodec<Parameters<(typeof uploadOperations)[N]>>
  : N extends CodecMethod
    ? Tail<Parameters<Codec[N]>>
    : never;
export type OperationResult<N extends OperationName> = N extends keyof typeof uploadOperations
  ? ReturnType<(typeof uploadOperations)[N]>
  : N extends CodecMethod
    ? ReturnType<Codec[N]>
    : never;

/** Operations beside the methods of a codec: those of an upload, so that pages that only read need not load them. */
export type OperationTable = Partial<typeof uploadOperations>;

/** Does an operation by name; the types of its arguments were checked where it was asked for. */
export function operate(
  codec: Codec,
  name: OperationName,
  input: Uint8Array,
  rest: readonly unknown[],
  table: OperationTable,
): unknown {
  const added = table[name as keyof OperationTable] as
    | ((codec: Codec, input: Uint8Array, ...rest: unknown[]) => unknown)
    | undefined;
  if (added) return added(codec, input, ...rest);
  const methods = codec as unknown as Record<OperationName, (input: Uint8Array, ...rest: unknown[]) => unknown>;
  return methods[name](input, ...rest);
}
