import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isXetError, XetError } from '../errors.ts';
import type { LocalFiles, LocalThing } from './gather.ts';
import { changed, type Look, SAMPLE_BYTES, type SourceFile } from './source-file.ts';

const READ_BYTES = 1024 * 1024;

/** Files and folders of this machine, by path or `file:` address. */
export const nodeLocalFiles: LocalFiles = {
  async open(given, onWarning): Promise<LocalThing> {
    const path = typeof given === 'string' ? given : fileURLToPath(given);
    return readable(path, async () => {
      const found = await stat(path);
      const name = basename(join(process.cwd(), path));
      if (found.isFile()) return { kind: 'file', name, source: new LocalSource(path) };
      if (found.isDirectory()) {
        return { kind: 'folder', name, files: (skip) => filesIn(path, '', skip, onWarning) };
      }
      throw new XetError('INVALID_ARGUMENT', `'${path}' is neither a file nor a folder.`);
    });
  },
};

/**
 * All files below a folder, in the order of their paths. Links to files are followed, as the Hub cache folder is
 * made of them; links to folders are not, as they may lead in circles.
 */
async function* filesIn(
  root: string,
  below: string,
  skip: (path: string) => boolean,
  onWarning: (message: string) => void,
): AsyncGenerator<{ path: string; source: SourceFile }, void, undefined> {
  const folder = join(root, below);
  const entries = await readable(folder, () => readdir(folder, { withFileTypes: true }));
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (skip(path)) continue;
    const full = join(folder, entry.name);
    const linked = entry.isSymbolicLink() ? await stat(full).catch(() => undefined) : undefined;
    if (entry.isDirectory()) yield* filesIn(root, path, skip, onWarning);
    else if (entry.isFile() || linked?.isFile()) yield { path, source: new LocalSource(full) };
    else onWarning(`'${full}' is left out: ${linked ? 'links to folders are not followed' : 'it is no file'}.`);
  }
}

class LocalSource implements SourceFile {
  readonly #path: string;
  #before: BigIntStats | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async look(): Promise<Look> {
    return this.#opened(async (handle) => {
      this.#before = await handle.stat({ bigint: true });
      const sample = new Uint8Array(SAMPLE_BYTES);
      const { bytesRead } = await handle.read(sample, 0, SAMPLE_BYTES, 0);
      return { size: Number(this.#before.size), sample: sample.subarray(0, bytesRead) };
    });
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const handle = await readable(this.#path, () => open(this.#path));
    try {
      // Used again for each piece: whoever gets one is done with it before asking for the next.
      const buffer = new Uint8Array(READ_BYTES);
      for (;;) {
        const { bytesRead } = await readable(this.#path, () => handle.read(buffer, 0, READ_BYTES));
        if (bytesRead === 0) break;
        yield buffer.subarray(0, bytesRead);
      }
      const after = await handle.stat({ bigint: true });
      const before = this.#before;
      const same =
        before && (['ino', 'size', 'mtimeNs', 'ctimeNs'] as const).every((what) => before[what] === after[what]);
      if (!same) throw changed(this.#path);
    } finally {
      await handle.close();
    }
  }

  async #opened<T>(step: (handle: FileHandle) => Promise<T>): Promise<T> {
    return readable(this.#path, async () => {
      const handle = await open(this.#path);
      try {
        return await step(handle);
      } finally {
        await handle.close();
      }
    });
  }
}

/** Tells in our own terms why a file or folder cannot be read. */
async function readable<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (!(cause instanceof Error) || isXetError(cause) || !('code' in cause)) throw cause;
    if (cause.code === 'ENOENT') throw new XetError('INVALID_ARGUMENT', `There is no '${path}' to upload.`, { cause });
    if (cause.code === 'EACCES' || cause.code === 'EPERM') {
      throw new XetError('PERMISSION', `'${path}' may not be read by this user.`, { cause });
    }
    throw new XetError('CACHE', `'${path}' cannot be read: ${cause.message}.`, { cause });
  }
}
