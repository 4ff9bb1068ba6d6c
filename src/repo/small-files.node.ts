import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { readFile, rename, rm, stat, writeFile } from '../disk/disk.node.ts';
import { makeFolder } from './disk-errors.node.ts';

/** What keeps backup programs out of a folder of downloads; see https://bford.info/cachedir/ */
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

/** A small file's text, or undefined where there is none that can be read. */
export function readSmall(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
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

/** Does what is a convenience: that it cannot be done is no reason to fail what it goes with. */
export async function tryTo(step: () => Promise<unknown>): Promise<void> {
  await step().catch(() => undefined);
}

export function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
