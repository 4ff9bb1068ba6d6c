import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { XetError } from '../../core/errors.ts';

export const STAGING = '.xetkit-staging';

const STAGED_NAME = /^[0-9a-f]{24}$/;

/**
 * Staging folder: files are written here before they are renamed into place, so a killed process leaves no partial
 * file.
 */
export class StagingArea {
  readonly folder: string;
  readonly #confirm: () => Promise<void>;

  private constructor(folder: string, confirm: () => Promise<void>) {
    this.folder = folder;
    this.#confirm = confirm;
  }

  /**
   * Removes what an earlier process may have left: nothing there was ever promised to anyone. The caller has locked
   * the folder; `confirm` rejects once that no longer holds, and then nothing is published.
   */
  static async open(dir: string, confirm: () => Promise<void>): Promise<StagingArea> {
    const folder = join(dir, STAGING);
    await mkdir(folder, { recursive: true });
    // Through a link, files of somebody else would be removed.
    if (!(await lstat(folder)).isDirectory()) {
      throw new XetError('INVALID_ARGUMENT', `${folder} is not a folder. Remove it, or use another --dir.`);
    }
    for (const name of await readdir(folder)) {
      if (STAGED_NAME.test(name)) await rm(join(folder, name), { recursive: true, force: true });
    }
    return new StagingArea(folder, confirm);
  }

  /** A name of its own for a new file in the staging area. */
  path(): string {
    return join(this.folder, randomBytes(12).toString('hex'));
  }

  async write(target: string, data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    await this.publish(await this.stage(bytes), target, bytes.length);
  }

  /** Writes a new staged file and gives its path. Nothing is left of it where that fails. */
  async stage(bytes: Uint8Array): Promise<string> {
    const staged = this.path();
    try {
      const file = await open(staged, 'wx');
      try {
        await writeAll(file, bytes);
      } finally {
        await file.close();
      }
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
    return staged;
  }

  /** Gives a staged file of `size` bytes its name, replacing what was there. A shorter file is removed and not published. */
  async publish(staged: string, target: string, size: number): Promise<void> {
    try {
      if ((await stat(staged)).size !== size) throw diskFull();
      await mkdir(dirname(target), { recursive: true });
      await this.#confirm();
      await rename(staged, target);
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
  }

  /** Takes a folder of the Hub out of its place in one step, and says where it is for its removal. */
  async takeOut(folder: string): Promise<string> {
    const staged = this.path();
    await this.#confirm();
    await rename(folder, staged);
    return staged;
  }
}

/** Writes all of the bytes: a disk that fills up takes fewer than it is given, without an error. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    if (bytesWritten === 0) throw diskFull();
    at += bytesWritten;
  }
}

function diskFull(): Error {
  return Object.assign(new Error('A file could not be written in full'), { code: 'ENOSPC' });
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
