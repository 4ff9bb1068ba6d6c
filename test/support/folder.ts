import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** All files under a folder; none if it is not there. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Sum of the lengths of all files under a folder, in bytes. Files may go while it counts. */
export async function bytesIn(folder: string): Promise<number> {
  const sizes = (await filesIn(folder)).map((path) =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
