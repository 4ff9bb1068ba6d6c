import type { XetErrorCode } from '../core/errors.ts';

/**
 * Outcome of an operation in a worker. A value comes with the input, if its memory can be used again. Failures travel as
 * data, because the class, code and cause of an error are lost in a message. After a trap the worker hands back the input,
 * and all later inputs untouched, so that another worker can take them.
 */
export type TaskOutcome<T> =
  | { value: T; spent?: Uint8Array }
  | { error: { code: XetErrorCode; message: string; retryable: boolean } }
  | { trap: string; input: Uint8Array; guilty: boolean };

/** Interface of a codec worker. Memory is moved in both directions. */
export interface CodecWorker {
  /** Resolves when the module is loaded. */
  ready(): Promise<void>;
  /** Runs the operation of this name. */
  run(name: string, input: Uint8Array, rest: readonly unknown[]): Promise<TaskOutcome<unknown>>;
}
