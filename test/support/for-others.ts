import { chmod, copyFile, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

export interface ForOthers {
  /** This Node. */
  node: string;
  /** A file of `dist/` by its name without `.js`. */
  built(name: string): string;
  remove(): Promise<void>;
}

/**
 * Copies Node and the built package into a folder that every user may read: both may lie in the home folder of the user
 * who runs the tests. The caller removes them.
 */
export async function forOthers(): Promise<ForOthers> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-for-others-'));
  for (const name of ['dist', 'pkg', 'package.json']) await cp(root(name), join(folder, name), { recursive: true });
  const node = join(folder, 'node');
  await copyFile(process.execPath, node);
  await chmod(node, 0o755);
  await chmod(folder, 0o755);
  const remove = () => rm(folder, { recursive: true, force: true });
  return { node, built: (name) => join(folder, 'dist', `${name}.js`), remove };
}
