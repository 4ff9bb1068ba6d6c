import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { XetError } from '../core/errors.ts';
import { formatBytes } from '../core/format-bytes.ts';
import { stat } from './disk.node.ts';
import { ifPresent, isAbsent } from './if-present.ts';

/**
 * Rejects with `DISK_FULL` if a folder, which need not exist yet, has less room than so many bytes. A file system that
 * does not report its free space is believed to have enough: a write tells.
 *
 * @param already bytes of the files that are on this disk; asked for only if there is too little room without them
 */
export async function requireSpace(
  folder: string,
  bytes: number,
  already: () => Promise<number> = async () => 0,
): Promise<void> {
  const free = await freeBytes(folder);
  if (free === undefined || bytes <= free) return;
  const needed = bytes - (await already());
  if (needed <= free) return;
  throw new XetError(
    'DISK_FULL',
    `There is too little space in ${folder}: ${formatBytes(needed)} are needed and ${formatBytes(free)} are free. ` +
      'Free some space, or choose a folder on another disk, and run the same again.',
  );
}

/** Bytes that this user may still write in a folder; undefined if the system does not report them. */
async function freeBytes(folder: string): Promise<number | undefined> {
  try {
    const { blocks, bfree, bavail, bsize } = await statfs(folder);
    // Some file systems have no blocks to count.
    return blocks === 0 ? undefined : (process.geteuid?.() === 0 ? bfree : bavail) * bsize;
  } catch (error) {
    // A runtime may lack the call, and a user the right to it; a folder that is yet to be made is on the disk of its parent.
    return isAbsent(error) && dirname(folder) !== folder ? freeBytes(dirname(folder)) : undefined;
  }
}

/** Bytes that a file takes on its disk, holes not counted; 0 if there is none. */
export async function allocatedBytes(path: string): Promise<number> {
  const found = await ifPresent(() => stat(path));
  return found ? Math.min(found.size, found.blocks * 512) : 0;
}
