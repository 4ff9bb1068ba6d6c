import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Where files are written before they get their name, so that a killed process leaves no half of one behind. */
export class StagingArea {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Empties what an earlier process may have left: nothing there was ever promised to anyone. */
  static async open(dir: string): Promise<StagingArea> {
    const folder = join(dir, 'tmp');
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    return new StagingArea(folder);
  }

  /** A name of its own for a new file in the staging area. */
  path(): string {
    return join(this.folder, randomBytes(12).toString('hex'));
  }

  async write(target: string, data: string | Uint8Array): Promise<void> {
    const temporary = this.path();
    await writeFile(temporary, data);
    await this.publish(temporary, target);
  }

  /** Gives a staged file its name, replacing what was there. */
  async publish(staged: string, target: string): Promise<void> {
    await mkdir(dirname(target), { recursive: true });
    await rename(staged, target);
  }
}

/** The content of a file, `undefined` where there is none. */
export async function readIfExists(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Objects are spread over 256 folders by the first two digits of their hash. */
export function shardedPath(root: string, hash: string, suffix = ''): string {
  return join(root, hash.slice(0, 2), `${hash}${suffix}`);
}
