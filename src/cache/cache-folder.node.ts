import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { mkdir, open, readdir, rename, rm, rmdir, stat, writeFile } from '../disk/disk.node.ts';
import { isNotAllowed, makeFolder } from '../repo/disk-errors.node.ts';

const HOUR_MS = 60 * 60 * 1000;

/**
 * Whether the disk failed, not the program: full, read-only, no permission, gone. To a cache that is the same as
 * having nothing; anything else is a mistake of ours and must be seen.
 */
export function isDiskError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && ('syscall' in error || isNotAllowed(error));
}

/** The result of a step on the disk, or undefined where the disk does not let it happen. */
export async function ifDiskAllows<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (isDiskError(error)) return undefined;
    throw error;
  }
}

/** Names in a folder; none in one that is not there or cannot be read. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await ifDiskAllows(() => readdir(folder))) ?? [];
}

/** Writes a file out of sight and gives it its name when it is whole. */
export async function putFile(temporary: string, path: string, bytes: Uint8Array): Promise<void> {
  const fresh = join(temporary, randomUUID());
  try {
    await withFolder(fresh, () => writeFile(fresh, bytes, { flag: 'wx' }));
    await withFolder(path, () => rename(fresh, path));
  } catch (error) {
    await ifDiskAllows(() => rm(fresh, { force: true }));
    throw error;
  }
}

/** Makes an empty file whose name says it all, unless it is there. */
export async function putMark(path: string): Promise<void> {
  await withFolder(path, async () => (await open(path, 'a')).close());
}

/** Removes an empty file, and its folder if it was the last one there. */
export async function removeMark(path: string): Promise<void> {
  await ifDiskAllows(async () => {
    await rm(path, { force: true });
    await rmdir(dirname(path)); // fails while there is something in it, as it should
  });
}

/** Takes a folder away in one step, as others see it, and deletes it then. */
export async function removeFolder(temporary: string, folder: string): Promise<void> {
  if (!(await ifDiskAllows(() => stat(folder)))) return;
  await makeFolder(temporary);
  const aside = join(temporary, randomUUID());
  try {
    await rename(folder, aside);
  } catch (error) {
    if (isDiskError(error) && error.code === 'ENOENT') return; // another process was faster
    throw error;
  }
  await rm(aside, { recursive: true, force: true, maxRetries: 3 });
}

/** Removes what writers left that are gone. No write takes an hour, so this disturbs none. */
export async function removeLeftovers(temporary: string): Promise<void> {
  for (const name of await namesIn(temporary)) {
    await ifDiskAllows(async () => {
      const path = join(temporary, name);
      if (Date.now() - (await stat(path)).mtimeMs > HOUR_MS) await rm(path, { recursive: true, force: true });
    });
  }
}

/** Does something for all, a few at a time: the disk gains nothing by more. */
export async function forAll<T>(items: Iterable<T>, step: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  const next = async () => {
    for (let item = queue.next(); !item.done; item = queue.next()) await step(item.value);
  };
  await Promise.all(Array.from({ length: 16 }, next));
}

/** Another process may remove a folder between its making and its use, so that takes more than one try. */
async function withFolder(path: string, step: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (attempt === 4 || !isDiskError(error) || error.code !== 'ENOENT') throw error;
      await mkdir(dirname(path), { recursive: true });
    }
  }
}
