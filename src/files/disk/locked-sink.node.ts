import { dirname } from 'node:path';
import type { Fence } from '../../fs/fence.node.ts';
import type { FileSink } from '../place.ts';
import { ONE_PIECE_BYTES, OnePieceFile } from './one-piece-file.node.ts';
import { PartialFile, type PartialFileOptions, type PartialIdentity, type Publish } from './partial-file.node.ts';
import { acquirePythonLock, LOCK_WORTH_BYTES } from './python-lock.node.ts';

export interface LockedSinkTarget {
  /** Nothing is written outside of it. */
  fence: Fence;
  /** Path of the unfinished file without its endings. */
  stem: string;
  /** The file that Python's client locks while it downloads the same. */
  pythonLock: string;
  publish: Publish;
}

/**
 * Opens an unfinished file for one writer, among processes of ours and of Python's client. Our own lock comes
 * first: it is cheap to wait for, and leaves at most one of us waiting for the other one. Nothing is changed before
 * both are taken. A small file is written by whoever wants it, and named in one step.
 */
export async function openLockedSink(
  target: LockedSinkTarget,
  file: PartialIdentity,
  options: Pick<PartialFileOptions, 'signal' | 'onWait' | 'resume'>,
): Promise<FileSink> {
  let waited = false;
  const onWait = () => {
    if (!waited) options.onWait();
    waited = true;
  };
  const { etag, size, xetHash } = file;
  await target.fence.check(dirname(target.stem));
  if (size <= ONE_PIECE_BYTES) return OnePieceFile.open(target.stem, size, { ...options, onWait }, target.publish);
  const alsoLock = async () => {
    await target.fence.check(dirname(target.pythonLock));
    return acquirePythonLock(target.pythonLock, { signal: options.signal, onWait });
  };
  return PartialFile.open(
    target.stem,
    { etag, size, xetHash },
    { ...options, onWait, ...(size >= LOCK_WORTH_BYTES && { alsoLock }) },
    target.publish,
  );
}
