import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { join } from 'node:path';
import { isXetError } from '../core/errors.ts';
import { type DiskFile, lstat, open, readlink, rename, rm, stat, writeFile } from './disk.node.ts';
import { isNotAllowed, makeFolder } from './disk-errors.node.ts';
import { isAbsent, isSystemError } from './if-present.ts';

/** Tag that keeps backup programs out of a folder of downloads; see https://bford.info/cachedir/ */
const CACHEDIR_TAG = [
  'Signature: 8a477f597d28d172789f06886806bc55',
  '# This file is a cache directory tag made by xetkit.',
  '# For information about cache directory tags, see https://bford.info/cachedir/',
  '',
].join('\n');

/**
 * Writes a small file so that no reader ever sees half of it.
 *
 * @param aside folder for the unfinished file, on the same file system: where it is of no harm if it stays behind.
 */
export async function writeInOneStep(path: string, content: string, aside: string): Promise<void> {
  const unfinished = join(aside, `.xetkit-${randomUUID()}.tmp`);
  try {
    await writeFile(unfinished, content, { flag: 'wx' });
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

/** A listing of a million files is shorter. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Text of a file, or undefined where there is none that can be read. A link is not followed. */
export async function readSmall(path: string): Promise<string | undefined> {
  const read = await readBounded(path, MAX_BYTES);
  return read && new TextDecoder().decode(read.bytes);
}

/**
 * Content of a file and what it looked like then, or undefined for one that is longer and for anything else, such as a
 * link.
 */
export async function readBounded(
  path: string,
  mostBytes: number,
): Promise<{ bytes: Uint8Array; stats: Stats } | undefined> {
  try {
    const handle = await openToRead(path);
    try {
      const stats = await handle.stat();
      if (!stats.isFile() || stats.size > mostBytes) return undefined;
      const bytes = new Uint8Array(stats.size);
      let at = 0;
      while (at < bytes.length) {
        const { bytesRead } = await handle.read(bytes, at, bytes.length - at, at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      return { bytes: bytes.subarray(0, at), stats };
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

// Undefined on Windows.
const { O_RDONLY, O_RDWR, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;

/** Opens a file that may have been planted by others: a link is not followed, and a pipe is not waited for. */
export function openToRead(path: string): Promise<DiskFile> {
  return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

/** The same, to write to what is there. */
export function openToUpdate(path: string): Promise<DiskFile> {
  return open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
}

/** True if a path leads to the file that is open, and not to one that got its name since. A link is not followed. */
export async function isStillAt(path: string, handle: DiskFile): Promise<boolean> {
  const [open, there] = await Promise.all([
    handle.stat({ bigint: true }),
    lstat(path, { bigint: true }).catch(() => undefined),
  ]);
  return there?.isFile() === true && open.ino === there.ino && open.dev === there.dev;
}

/** Marks a folder as one that can be had again. */
export async function tagFolder(folder: string): Promise<void> {
  await makeFolder(folder);
  await createIfMissing(join(folder, 'CACHEDIR.TAG'), CACHEDIR_TAG);
}

export async function createIfMissing(path: string, content: string): Promise<void> {
  await writeFile(path, content, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** The target of a symbolic link, as it is written; undefined for anything else, and if nothing is there. */
export async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    // That it is no link is EINVAL, or UNKNOWN in Windows.
    const isOther = isSystemError(error) && ['EINVAL', 'UNKNOWN'].includes(error.code ?? '');
    if (isAbsent(error) || isOther) return undefined;
    throw error;
  }
}

/** Does what is a convenience: that the disk or a fence refuses it is no reason to fail the work that it goes with. */
export async function tryTo(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!isXetError(error) && !isSystemError(error) && !isNotAllowed(error)) throw error;
  }
}

export function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Files take whole blocks of a disk; this is the size nearly everywhere. */
const BLOCK_BYTES = 4096;

/** Bytes on disk of a file with this length. */
export function onDisk(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}
