import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { XetError } from '../../core/errors.ts';
import { ifPresent } from '../../fs/if-present.ts';

export const STAGING = '.xetkit-staging';

const STAGED_NAME = /^[0-9a-f]{24}$/;

/**
 * Staging folder: files are written here before they are renamed into place, so a killed process leaves no partial
 * file. A durable one also flushes each file before the rename and the folder after it, so that published files survive
 * a crash of the machine.
 */
export class StagingArea {
  readonly folder: string;
  readonly #confirm: () => Promise<void>;
  readonly #durable: boolean;

  private constructor(folder: string, confirm: () => Promise<void>, durable: boolean) {
    this.folder = folder;
    this.#confirm = confirm;
    this.#durable = durable;
  }

  /**
   * Opens the staging folder and removes leftovers of an earlier process, which acknowledged none of them. The caller
   * has locked the folder; nothing is published once `confirm` rejects.
   */
  static async open(dir: string, confirm: () => Promise<void>, durable: boolean): Promise<StagingArea> {
    const folder = join(dir, STAGING);
    await mkdir(folder, { recursive: true });
    // A link could lead to a folder of other files, which must not be removed.
    if (!(await lstat(folder)).isDirectory()) {
      throw new XetError('INVALID_ARGUMENT', `${folder} is not a folder. Remove it, or use another --dir.`);
    }
    for (const name of await readdir(folder)) {
      if (STAGED_NAME.test(name)) await rm(join(folder, name), { recursive: true, force: true });
    }
    return new StagingArea(folder, confirm, durable);
  }

  /** Path for a new file in the staging area, different on each call. */
  path(): string {
    return join(this.folder, randomBytes(12).toString('hex'));
  }

  async write(target: string, data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    await this.publish(await this.stage(bytes), target, bytes.length);
  }

  /** Writes a new staged file and returns its path. Removes the file if writing fails. */
  async stage(bytes: Uint8Array): Promise<string> {
    const staged = this.path();
    try {
      await writeNewFile(staged, bytes);
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
    return staged;
  }

  /**
   * Renames a staged file of `size` bytes to `target`, replacing an existing file. A staged file of another size is
   * removed instead.
   */
  async publish(staged: string, target: string, size: number): Promise<void> {
    try {
      await publishFile(staged, target, { size, durable: this.#durable, confirm: this.#confirm });
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
  }

  /** Moves a folder of the Hub to the staging area in one step and returns its new path, for removal. */
  async takeOut(folder: string): Promise<string> {
    const staged = this.path();
    await this.#confirm();
    await rename(folder, staged);
    if (this.#durable) for (const changed of [dirname(folder), this.folder]) await flush(changed);
    return staged;
  }

  /** Moves a folder of the Hub to another place in it in one step. Nothing may be there yet. */
  async moveFolder(from: string, to: string): Promise<void> {
    await makeFolder(dirname(to), this.#durable);
    await this.#confirm();
    await rename(from, to);
    if (this.#durable) for (const changed of [dirname(from), dirname(to)]) await flush(changed);
  }
}

/** Replaces a file in one step. `staged` is a path on the same file system that nothing else uses. */
export async function replaceFile(target: string, data: string, staged: string): Promise<void> {
  const bytes = Buffer.from(data);
  await rm(staged, { force: true });
  await writeNewFile(staged, bytes);
  await publishFile(staged, target, { size: bytes.length, durable: true });
}

async function writeNewFile(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await writeAll(file, bytes);
  } finally {
    await file.close();
  }
}

async function publishFile(
  staged: string,
  target: string,
  { size, durable, confirm }: { size: number; durable: boolean; confirm?: () => Promise<void> },
): Promise<void> {
  // Windows flushes only files that are open for writing.
  const file = await open(staged, 'r+');
  try {
    if ((await file.stat()).size !== size) throw diskFull();
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
  const folder = dirname(target);
  await makeFolder(folder, durable);
  await confirm?.();
  await rename(staged, target);
  if (durable) await flush(folder);
}

/** Creates a folder and those above it. With `durable` they survive a crash of the machine. */
export async function makeFolder(path: string, durable: boolean): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined || !durable) return;
  for (let at = path; at.length >= first.length; at = dirname(at)) await flush(dirname(at));
}

/** Flushes a folder: the names of its files and folders. */
async function flush(folder: string): Promise<void> {
  // Windows opens no folders; NTFS keeps a journal of renames.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems flush files only.
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].includes(code)) throw error;
  } finally {
    await handle.close();
  }
}

/** Writes all bytes at the file's current position. A full disk may accept only a part of them without an error. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    if (bytesWritten === 0) throw diskFull();
    at += bytesWritten;
  }
}

function diskFull(): Error {
  return Object.assign(new Error('The file could not be written completely. Is the disk full?'), { code: 'ENOSPC' });
}

/** Content of a file, or `undefined` if the file does not exist. */
export function readIfExists(path: string): Promise<Buffer | undefined> {
  return ifPresent(() => readFile(path));
}

/** Path of a stored object. Objects are spread over 256 folders by the first two digits of their hash. */
export function shardedPath(root: string, hash: string, suffix = ''): string {
  return join(root, hash.slice(0, 2), `${hash}${suffix}`);
}
