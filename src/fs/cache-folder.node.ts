import { randomUUID } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { lstat, mkdir, open, readdir, rename, rm, rmdir, stat, writeFile } from './disk.node.ts';
import { isNotAllowed, makeFolder } from './disk-errors.node.ts';
import { ifPresent } from './if-present.ts';
import { readSmall } from './small-files.node.ts';

const HOUR_MS = 60 * 60 * 1000;

/**
 * True if the disk failed rather than the program: full, read-only, no permission, gone. A cache treats that as a miss;
 * anything else is a bug and must surface.
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

const VERSION = /^v\d+$/;
/** A store has its folders no further below that of its version. */
const MAX_LEVELS = 4;

/**
 * Fails as the disk does if a folder of a store is a link. That of its version, and the one above, may be links of this
 * user or the system: a store may be on another disk.
 */
export async function refuseLinks(folder: string): Promise<void> {
  const user = process.geteuid?.();
  const levels = [folder];
  while (levels.length < MAX_LEVELS && !VERSION.test(basename(levels.at(-1) ?? ''))) {
    levels.push(dirname(levels.at(-1) ?? ''));
  }
  const inner = levels.length - 1;
  if (VERSION.test(basename(levels.at(-1) ?? ''))) levels.push(dirname(levels.at(-1) ?? ''));
  const found = await Promise.all(levels.map((level) => ifPresent(() => lstat(level))));
  const planted = found.findIndex(
    (level, index) =>
      level?.isSymbolicLink() === true &&
      (index < inner || (user !== undefined && level.uid !== user && level.uid !== 0)),
  );
  if (planted < 0) return;
  const path = levels[planted];
  throw Object.assign(new Error(`${path} is a link.`), { code: 'ELOOP', syscall: 'open', path });
}

/** Names in a folder; none in one that is not there, is a link, or cannot be read. */
export async function namesIn(folder: string): Promise<string[]> {
  const names = await ifDiskAllows(async () => {
    await refuseLinks(folder);
    return readdir(folder);
  });
  return names ?? [];
}

/** Text of a file of a store; undefined where there is none, or a link. */
export async function readOwn(path: string): Promise<string | undefined> {
  const allowed = await ifDiskAllows(async () => {
    await refuseLinks(dirname(path));
    return true;
  });
  return allowed ? readSmall(path) : undefined;
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
  await withFolder(path, async () => {
    const made = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await made?.close();
  });
}

/** Removes an empty file, and its folder if it was the last one there. */
export async function removeMark(path: string): Promise<void> {
  await ifDiskAllows(async () => {
    await refuseLinks(dirname(path));
    await rm(path, { force: true });
    await rmdir(dirname(path)); // fails while there is something in it, as it should
  });
}

/** Takes a folder away in one step, as others see it, and deletes it then. */
export async function removeFolder(temporary: string, folder: string): Promise<void> {
  if (!(await ifDiskAllows(() => stat(folder)))) return;
  await refuseLinks(dirname(folder));
  await refuseLinks(temporary);
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
      if (Date.now() - (await lstat(path)).mtimeMs > HOUR_MS) await rm(path, { recursive: true, force: true });
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
  await refuseLinks(dirname(path));
  for (let attempt = 0; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (attempt === 4 || !isDiskError(error) || error.code !== 'ENOENT') throw error;
      await mkdir(dirname(path), { recursive: true });
    }
  }
}
