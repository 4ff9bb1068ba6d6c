import { type BigIntStats, constants, type Stats } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { basename, dirname, join, parse, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isXetError, XetError } from '../core/errors.ts';
import { type DiskFile, open, readdir, realpath, stat } from '../fs/disk.node.ts';
import { ifPresent, isAbsent, isSystemError } from '../fs/if-present.ts';
import { isBelow } from '../fs/safe-paths.node.ts';
import { type ContentPeek, type ContentReader, changed, SAMPLE_BYTES } from './content-reader.ts';
import type { Candidate, LocalEntry, LocalFiles, OpenLocal } from './gather.ts';

const READ_BYTES = 1024 * 1024;
/** Does not block on a file that has been replaced by a pipe. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Files and folders of this machine, by path or `file:` URL. */
export const nodeLocalFiles: LocalFiles = {
  async open(given, options): Promise<LocalEntry> {
    const path = typeof given === 'string' ? given : pathOf(given);
    if (path === '')
      throw new XetError('INVALID_ARGUMENT', "The path to upload is empty. Use '.' for the current folder.");
    return readable(path, async () => {
      const found = await stat(path);
      const name = basename(resolve(path));
      if (found.isFile()) return { kind: 'file', name, content: new LocalReader(path) };
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
    throw new XetError('INVALID_ARGUMENT', `'${url.href.slice(0, 200)}' is not the URL of a local file.`, { cause });
  }
}

/**
 * Refuses folders that are hardly meant to be published: file system roots, home folders, and the folders that contain
 * them. Folders are compared by inode, as one folder can have several names.
 */
async function refuseBroad(root: string, given: string): Promise<void> {
  const own = await stat(root, { bigint: true });
  for (const { path, what } of broadFolders(root)) {
    const broad = await stat(path, { bigint: true }).catch((error: unknown) => {
      // A folder that is absent, or closed to this user, is not the one that was just opened.
      if (isAbsent(error) || ['EACCES', 'EPERM'].includes(codeOf(error))) return undefined;
      throw error;
    });
    if (!broad || !isSame(own, broad)) continue;
    throw new XetError(
      'INVALID_ARGUMENT',
      `'${given}' is ${what}, which may contain keys and passwords, so nothing was uploaded. ` +
        'Name the folder to upload, or use force: true (--force) to upload this one.',
    );
  }
}

function broadFolders(root: string): { path: string; what: string }[] {
  const found = [{ path: parse(root).root, what: 'the root of a file system' }];
  for (const home of homes()) {
    if (parse(home).root === home) continue;
    found.push({ path: home, what: 'your home folder' });
    for (let path = dirname(home); parse(path).root !== path; path = dirname(path)) {
      found.push({ path, what: 'a parent of your home folder' });
    }
  }
  for (const path of ['/home', '/Users']) found.push({ path, what: 'a folder of home folders' });
  return found;
}

/** Home folders according to the environment and to the system's user list, which may differ. */
function homes(): string[] {
  return [homedir, () => userInfo().homedir].flatMap((read) => {
    try {
      const home = read();
      return home === '' ? [] : [resolve(home)];
    } catch {
      // This user has no home folder to protect.
      return [];
    }
  });
}

/** A walk through the files of a folder. */
interface Walk extends OpenLocal {
  /** Path of the folder without symbolic links. */
  root: string;
  skip: (path: string) => boolean;
}

/**
 * Yields all files below a folder, in path order. Links to files within the folder are followed; links that lead out of it
 * only with `force`, as nothing is uploaded beyond what was named. Links to folders are not followed, as they can form cycles.
 */
async function* filesIn(walk: Walk, below: string): AsyncGenerator<Candidate, void, undefined> {
  const { root, skip, force, onWarning } = walk;
  const folder = join(root, below);
  const entries = await readable(folder, () => readdir(folder, { withFileTypes: true }));
  // A folder that has been replaced by a link is not the one that was found.
  if (!force && (await readable(folder, () => realpath(folder))) !== folder) throw changed(folder);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (skip(path)) continue;
    const full = join(folder, entry.name);
    const isAllowed = (real: string) => force || isBelow(real, root) || isBlobOf(real, root);
    if (entry.isDirectory()) yield* filesIn(walk, path);
    else if (entry.isFile()) yield { path, content: new LocalReader(full, isAllowed) };
    else {
      const reason = entry.isSymbolicLink() ? await whyNotFollowed(full, isAllowed) : 'it is not a regular file';
      if (reason === undefined) yield { path, content: new LocalReader(full, isAllowed) };
      else onWarning(`'${full}' is skipped: ${reason}.`);
    }
  }
}

async function whyNotFollowed(link: string, isAllowed: (real: string) => boolean): Promise<string | undefined> {
  const target = await linkTarget(link);
  if (typeof target === 'string') return target;
  const { real, found } = target;
  if (!found.isFile()) return 'links to folders are not followed';
  return isAllowed(real)
    ? undefined
    : 'the link leads out of the folder, and is followed only with force: true (--force)';
}

function codeOf(error: unknown): string {
  return isSystemError(error) ? (error.code ?? '') : '';
}

/** Path and status of a link's target, or the reason why it cannot be followed. */
async function linkTarget(link: string): Promise<{ real: string; found: Stats } | string> {
  try {
    const target = await ifPresent(async () => {
      const real = await realpath(link);
      return { real, found: await stat(real) };
    });
    return target ?? 'the link is broken';
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return `the link cannot be followed (${codeOf(error)})`;
  }
}

/** True for a blob of the snapshot at `root` in the Hub cache folder, whose files are links to blobs. */
function isBlobOf(real: string, root: string): boolean {
  const [, repo] =
    /^(.*[\\/](?:models|datasets|spaces|kernels)--[^\\/]+)[\\/]snapshots[\\/][0-9a-f]{40}(?:[\\/]|$)/.exec(root) ?? [];
  return repo !== undefined && [repo, dirname(repo)].some((holder) => isBelow(real, join(holder, 'blobs')));
}

class LocalReader implements ContentReader {
  readonly #path: string;
  /** True if the file may be at this path, with links resolved. */
  readonly #isAllowed: ((real: string) => boolean) | undefined;
  #before: BigIntStats | undefined;

  constructor(path: string, isAllowed?: (real: string) => boolean) {
    this.#path = path;
    this.#isAllowed = isAllowed;
  }

  async peek(): Promise<ContentPeek> {
    return this.#opened(async (handle) => {
      this.#before = await handle.stat({ bigint: true });
      const sample = new Uint8Array(SAMPLE_BYTES);
      const { bytesRead } = await handle.read(sample, 0, SAMPLE_BYTES, 0);
      const mtimeMs = Number(this.#before.mtimeNs / 1_000_000n);
      return { size: Number(this.#before.size), sample: sample.subarray(0, bytesRead), mtimeMs };
    });
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const handle = await readable(this.#path, () => this.#open());
    try {
      // Reused for each piece: the consumer is done with a piece when it requests the next.
      const buffer = new Uint8Array(READ_BYTES);
      for (;;) {
        const { bytesRead } = await readable(this.#path, () => handle.read(buffer, 0, READ_BYTES, null));
        if (bytesRead === 0) break;
        yield buffer.subarray(0, bytesRead);
      }
      const after = await handle.stat({ bigint: true });
      const before = this.#before;
      const same =
        before && (['ino', 'size', 'mtimeNs', 'ctimeNs'] as const).every((field) => before[field] === after[field]);
      if (!same) throw changed(this.#path);
    } finally {
      await handle.close();
    }
  }

  /** Opens the file, and checks that it is the one that was found: a parent folder may have become a link. */
  async #open(): Promise<DiskFile> {
    const handle = await open(this.#path, READ_ONLY);
    try {
      const held = await handle.stat({ bigint: true });
      const before = this.#before;
      if (!held.isFile() || (before && !isSame(before, held))) throw changed(this.#path);
      if (this.#isAllowed) {
        const real = await realpath(this.#path);
        if (!this.#isAllowed(real) || !isSame(await stat(real, { bigint: true }), held)) throw changed(this.#path);
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

/** Runs a step, and turns system errors into a `XetError` about this path. */
async function readable<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (!(cause instanceof Error) || isXetError(cause) || !('code' in cause)) throw cause;
    if (cause.code === 'ENOENT') throw new XetError('INVALID_ARGUMENT', `'${path}' does not exist.`, { cause });
    if (cause.code === 'EACCES' || cause.code === 'EPERM') {
      throw new XetError('PERMISSION', `'${path}' cannot be read: permission denied.`, { cause });
    }
    throw new XetError('CACHE', `'${path}' cannot be read: ${cause.message}.`, { cause });
  }
}
