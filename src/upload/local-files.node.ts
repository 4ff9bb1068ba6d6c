import { type BigIntStats, constants } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { basename, dirname, join, parse, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isXetError, XetError } from '../core/errors.ts';
import { type DiskFile, open, readdir, realpath, stat } from '../fs/disk.node.ts';
import { isBelow } from '../fs/safe-paths.node.ts';
import type { LocalFiles, LocalThing, OpenLocal } from './gather.ts';
import { changed, type Look, SAMPLE_BYTES, type SourceFile } from './source-file.ts';

const READ_BYTES = 1024 * 1024;
/** A file that turned into a pipe in the meantime must not hold up a thread that waits for a writer. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Files and folders of this machine, by path or `file:` address. */
export const nodeLocalFiles: LocalFiles = {
  async open(given, options): Promise<LocalThing> {
    const path = typeof given === 'string' ? given : pathOf(given);
    if (path === '')
      throw new XetError('INVALID_ARGUMENT', "An empty path names nothing to upload: write '.' for this folder.");
    return readable(path, async () => {
      const found = await stat(path);
      const name = basename(resolve(path));
      if (found.isFile()) return { kind: 'file', name, source: new LocalSource(path) };
      if (found.isDirectory()) {
        const root = await realpath(path);
        if (!options.force) await refuseBroad(root, path);
        return { kind: 'folder', name, files: (skip) => filesIn({ ...options, root, skip }, '') };
      }
      throw new XetError('INVALID_ARGUMENT', `'${path}' is neither a file nor a folder.`);
    });
  },
};

function pathOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new XetError('INVALID_ARGUMENT', `'${url.href.slice(0, 200)}' is no address of a local file.`, { cause });
  }
}

/**
 * Refuses folders that nobody means to publish: the root of a file system, a home folder, and those that hold it. They
 * are compared as the file system knows them, as one folder can have several names.
 */
async function refuseBroad(root: string, given: string): Promise<void> {
  const own = await stat(root, { bigint: true });
  for (const { path, what } of broadFolders(root)) {
    const broad = await stat(path, { bigint: true }).catch(() => undefined);
    if (!broad || !isSame(own, broad)) continue;
    throw new XetError(
      'INVALID_ARGUMENT',
      `'${given}' is ${what}, and is not uploaded as it may hold keys and passwords. ` +
        'Name the folder that is meant; if this is the one, use force: true (--force).',
    );
  }
}

function broadFolders(root: string): { path: string; what: string }[] {
  const found = [{ path: parse(root).root, what: 'the root of a file system' }];
  for (const home of homes()) {
    if (parse(home).root === home) continue;
    found.push({ path: home, what: 'your home folder' });
    for (let path = dirname(home); parse(path).root !== path; path = dirname(path)) {
      found.push({ path, what: 'a folder that holds your home folder' });
    }
  }
  for (const path of ['/home', '/Users']) found.push({ path, what: 'a folder of home folders' });
  return found;
}

/** By the environment and by the system's own list of users, which may differ. */
function homes(): string[] {
  return [homedir, () => userInfo().homedir].flatMap((ask) => {
    try {
      const home = ask();
      return home === '' ? [] : [resolve(home)];
    } catch {
      // A user without a home has none that could be published.
      return [];
    }
  });
}

/** A folder whose files are uploaded. */
interface Walk extends OpenLocal {
  /** Without links on the way. */
  root: string;
  skip: (path: string) => boolean;
}

/**
 * All files below a folder, in the order of their paths. Links to files within it are followed; those that lead out of it
 * only with `force`, as nothing is uploaded that was not named. Links to folders are not, as they may lead in circles.
 */
async function* filesIn(
  walk: Walk,
  below: string,
): AsyncGenerator<{ path: string; source: SourceFile }, void, undefined> {
  const { root, skip, force, onWarning } = walk;
  const folder = join(root, below);
  const entries = await readable(folder, () => readdir(folder, { withFileTypes: true }));
  // A folder that was exchanged for a link is not the one that was found.
  if (!force && (await readable(folder, () => realpath(folder))) !== folder) throw changed(folder);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (skip(path)) continue;
    const full = join(folder, entry.name);
    const isHere = (real: string) => force || isBelow(real, root) || isBlobOf(real, root);
    if (entry.isDirectory()) yield* filesIn(walk, path);
    else if (entry.isFile()) yield { path, source: new LocalSource(full, isHere) };
    else {
      const why = entry.isSymbolicLink() ? await whyNotFollowed(full, isHere) : 'it is no file';
      if (why === undefined) yield { path, source: new LocalSource(full, isHere) };
      else onWarning(`'${full}' is left out: ${why}.`);
    }
  }
}

async function whyNotFollowed(link: string, isHere: (real: string) => boolean): Promise<string | undefined> {
  const real = await realpath(link).catch(() => undefined);
  const found = real === undefined ? undefined : await stat(real).catch(() => undefined);
  if (real === undefined || !found) return 'the link leads nowhere';
  if (!found.isFile()) return 'links to folders are not followed';
  return isHere(real) ? undefined : 'the link leads out of the folder; with force: true (--force) it is followed';
}

/** True if a file is content of a snapshot in the Hub cache folder, whose files are links to blobs beside it. */
function isBlobOf(real: string, root: string): boolean {
  const [, repo] =
    /^(.*[\\/](?:models|datasets|spaces|kernels)--[^\\/]+)[\\/]snapshots[\\/][0-9a-f]{40}(?:[\\/]|$)/.exec(root) ?? [];
  return repo !== undefined && [repo, dirname(repo)].some((holder) => isBelow(real, join(holder, 'blobs')));
}

class LocalSource implements SourceFile {
  readonly #path: string;
  /** True if the file may be where its path leads in the end. */
  readonly #isHere: ((real: string) => boolean) | undefined;
  #before: BigIntStats | undefined;

  constructor(path: string, isHere?: (real: string) => boolean) {
    this.#path = path;
    this.#isHere = isHere;
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
    const handle = await readable(this.#path, () => this.#open());
    try {
      // Used again for each piece: whoever gets one is done with it before asking for the next.
      const buffer = new Uint8Array(READ_BYTES);
      for (;;) {
        const { bytesRead } = await readable(this.#path, () => handle.read(buffer, 0, READ_BYTES, null));
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

  /** Opens the file, and makes sure that this is the one that was found: a folder on the way may be a link by now. */
  async #open(): Promise<DiskFile> {
    const handle = await open(this.#path, READ_ONLY);
    try {
      const held = await handle.stat({ bigint: true });
      const before = this.#before;
      if (!held.isFile() || (before && !isSame(before, held))) throw changed(this.#path);
      if (this.#isHere) {
        const real = await realpath(this.#path);
        if (!this.#isHere(real) || !isSame(await stat(real, { bigint: true }), held)) throw changed(this.#path);
      }
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #opened<T>(step: (handle: DiskFile) => Promise<T>): Promise<T> {
    return readable(this.#path, async () => {
      const handle = await this.#open();
      try {
        return await step(handle);
      } finally {
        await handle.close();
      }
    });
  }
}

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return one.dev === other.dev && one.ino === other.ino;
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
