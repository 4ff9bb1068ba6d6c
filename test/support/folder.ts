import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ifPresent } from '../../src/fs/if-present.ts';

/** Paths of all files under a folder; empty if the folder does not exist. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = (await ifPresent(() => readdir(folder, { recursive: true, withFileTypes: true }))) ?? [];
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Sum of the lengths of all files under a folder, in bytes. Files may disappear while it counts. */
export async function bytesIn(folder: string): Promise<number> {
  const sizes = (await filesIn(folder)).map(async (path) => (await ifPresent(() => stat(path)))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
