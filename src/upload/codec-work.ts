import type { OperationArguments, OperationResult } from '../codec/operations.ts';
import type { CodecPool } from '../codec/pool.ts';
import { uploadOperations } from '../codec/upload-operations.ts';

/** An operation of an upload on the pool; its data is moved. */
export function runUpload<N extends keyof typeof uploadOperations>(
  pool: CodecPool,
  name: N,
  input: Uint8Array,
  rest: OperationArguments<N>,
  signal: AbortSignal,
  onSpent?: (memory: ArrayBufferLike) => void,
): Promise<OperationResult<N>> {
  return pool.run(name, input, rest, signal, onSpent, uploadOperations);
}
