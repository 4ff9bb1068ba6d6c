import type { ChunkRecords } from '../core/chunks.ts';
import type { XetErrorCode } from '../core/errors.ts';
import type { OperationName } from './operations.ts';

/**
 * An answer of a worker, with the input to be used again if it is still whole. Failures are data, as an error's class, code and cause do not survive the way. After
 * a trap the worker hands back that input, and unseen all that come after it, so that another worker can
 * take them.
 */
export type TaskOutcome<T> =
  | { value: T; spent?: Uint8Array }
  | { error: { code: XetErrorCode; message: string; retryable: boolean } }
  | { trap: string; input: Uint8Array; guilty: boolean };

/** What a codec worker does: plain data in, plain data out, buffers moved both ways. */
export interface CodecWorker {
  /** Loads the module; until then nothing is worth sending. */
  ready(): Promise<void>;
  run(name: OperationName, input: Uint8Array, rest: readonly unknown[]): Promise<TaskOutcome<unknown>>;
  /** The next block of a stream of the caller's numbering, which this worker must see from its first to its last. */
  chunk(stream: number, block: Uint8Array, last: boolean): Promise<TaskOutcome<ChunkRecords>>;
}
