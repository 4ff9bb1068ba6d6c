import type { Verified } from '../download/content-hash.ts';
import type { ByteRange } from '../ranges.ts';
import { ONE_PIECE_BYTES, OnePieceFile } from './one-piece-file.node.ts';
import { PartialFile, type PartialFileOptions, type PartialIdentity } from './partial-file.node.ts';
import type { FileSink } from './place.ts';
import { acquirePythonLock, LOCK_WORTH_BYTES, type PythonLock } from './python-lock.node.ts';

export interface LockedSinkTarget {
  /** Path of the unfinished file without its endings. */
  stem: string;
  /** The file that Python's client locks while it downloads the same. */
  pythonLock: string;
  publish: (finished: string, verified: Verified) => Promise<string>;
}

/**
 * Opens an unfinished file for one writer, among processes of ours and of Python's client. Our own lock comes
 * first: it is cheap to wait for, and leaves at most one of us waiting for the other one. A small file is written by whoever
 * wants it, and named in one step.
 */
export async function openLockedSink(
  target: LockedSinkTarget,
  file: PartialIdentity,
  options: PartialFileOptions,
): Promise<FileSink> {
  let waited = false;
  const onWait = () => {
    if (!waited) options.onWait();
    waited = true;
  };
  if (file.size <= ONE_PIECE_BYTES) {
    return OnePieceFile.open(target.stem, file.size, { ...options, onWait }, target.publish);
  }
  const { etag, size, xetHash } = file;
  const sink = await PartialFile.open(target.stem, { etag, size, xetHash }, { ...options, onWait }, target.publish);
  if (size < LOCK_WORTH_BYTES) return sink;
  try {
    const lock = await acquirePythonLock(target.pythonLock, { signal: options.signal, onWait });
    return lock ? new LockedSink(sink, lock) : sink;
  } catch (error) {
    await sink.close();
    throw error;
  }
}

class LockedSink implements FileSink {
  readonly #sink: FileSink;
  readonly #lock: PythonLock;

  constructor(sink: FileSink, lock: PythonLock) {
    this.#sink = sink;
    this.#lock = lock;
  }

  get held() {
    return this.#sink.held;
  }

  get unchecked() {
    return this.#sink.unchecked;
  }

  read(range: ByteRange) {
    return this.#sink.read(range);
  }

  write(...args: Parameters<FileSink['write']>) {
    return this.#sink.write(...args);
  }

  restart() {
    return this.#sink.restart();
  }

  publish(verified: Verified) {
    return this.#sink.publish(verified);
  }

  async close() {
    try {
      await this.#sink.close();
    } finally {
      await this.#lock.release();
    }
  }
}
