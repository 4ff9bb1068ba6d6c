import type { ChunkRecords } from '../src/chunks.ts';
import type { DecodedRun } from '../src/codec/codec.ts';
import type { XetErrorCode } from '../src/errors.ts';

/**
 * An answer of a worker. Failures are data, as an error's class, code and cause do not survive the way. After
 * a trap the worker hands back that input, and unseen all that come after it, so that another worker can
 * take them.
 */
export type Answer<T> =
  | { value: T }
  | { error: { code: XetErrorCode; message: string; retryable: boolean } }
  | { trap: string; input: Uint8Array; guilty: boolean };

/** What a codec worker does: plain data in, plain data out, buffers transferred both ways. */
export interface CodecWorker {
  /** Loads the module; until then nothing is worth sending. */
  ready(): Promise<void>;
  decodeRun(frames: Uint8Array): Promise<Answer<DecodedRun>>;
  fileHash(chunks: ChunkRecords): Promise<Answer<Uint8Array>>;
}
