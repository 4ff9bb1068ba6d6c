import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { isHashHex } from '../../core/hash.ts';
import {
  access,
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  symlink,
} from '../../fs/disk.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { realPath } from '../../fs/safe-paths.node.ts';
import { linkTarget, readSmall, tryTo } from '../../fs/small-files.node.ts';
import { acquirePythonLock } from './python-lock.node.ts';

const MARKER = '.huggingface-shared-blobs';
const MARKER_CONTENT = '1\n';
const BLOB_OF_REPO = /^(?:models|datasets|spaces|kernels)--[^/]+\/blobs\/[^/\r\n]+$/;

/** A file and its length in bytes. */
export interface SharedBlob {
  path: string;
  size: number;
}

/**
 * Content that repositories in one Hub cache folder share, as Python's client keeps it: `blobs/<2 hex>/<xet hash>`
 * holds it once, the `blobs/<etag>` of each repository is a link to it, and `<xet hash>.refs` lists those links so that
 * nobody removes what is still linked to.
 *
 * We take part where Python's client has made such a store, and never make one: older clients do not know it. All
 * of this is a convenience, and everything that goes wrong here means that the store is not used.
 */
export class SharedBlobs {
  readonly #cacheDir: string;
  readonly folder: string;

  constructor(cacheDir: string) {
    this.#cacheDir = resolve(cacheDir);
    this.folder = join(this.#cacheDir, 'blobs');
  }

  /** True if a store of the known kind exists. */
  async exists(): Promise<boolean> {
    const marker = join(this.folder, MARKER);
    const [folder, file] = await Promise.all([lstatOf(this.folder), lstatOf(marker)]);
    return folder?.isDirectory() === true && file?.isFile() === true && (await readSmall(marker)) === MARKER_CONTENT;
  }

  /** The path of content that is in the store, readable and of the right length. */
  async find(xetHash: string | undefined, size: number): Promise<string | undefined> {
    if (!isHashHex(xetHash) || !(await this.exists())) return undefined;
    const entry = this.#entry(xetHash);
    return (await this.#isPhysical(dirname(entry))) && (await isUsable(entry, size)) ? entry : undefined;
  }

  /** Store path that a repository's blob links to, whether or not it exists. */
  async targetOf(blob: string): Promise<string | undefined> {
    const target = await linkTarget(blob);
    if (target === undefined || !BLOB_OF_REPO.test(this.#name(blob))) return undefined;
    const entry = resolve(dirname(blob), target);
    const hash = basename(entry);
    return isHashHex(hash) && entry === this.#entry(hash) ? entry : undefined;
  }

  /** Makes a blob of a repository a link to content in the store, which has been checked. */
  async link(blob: string, xetHash: string, size: number, signal: AbortSignal): Promise<boolean> {
    const entry = this.#entry(xetHash);
    return this.#locked(entry, signal, async () => {
      if (!(await isUsable(entry, size))) return false;
      return this.#replaceByLink(blob, entry);
    });
  }

  /**
   * Moves a blob of a repository, which has been checked, into the store, and links to it.
   *
   * @param isRight checks what is there already: somebody else may have brought it, whom nobody checked.
   */
  async publish(blob: string, xetHash: string, size: number, isRight: (entry: string) => Promise<boolean>) {
    if (!(await this.exists())) return false;
    const entry = this.#entry(xetHash);
    await tryTo(() => this.#makeFolder(dirname(entry)));
    return this.#locked(entry, undefined, async () => {
      if ((await isUsable(entry, size)) && (await isRight(entry))) return this.#replaceByLink(blob, entry);
      await this.#setPermissions(blob, dirname(entry));
      return this.#replaceByLink(blob, entry, () => rename(blob, entry));
    });
  }

  /** The blobs of repositories that link to content in the store; undefined if that is not known. */
  async references(entry: string): Promise<Set<string> | undefined> {
    const manifest = `${entry}.refs`;
    if (!(await lstatOf(manifest))?.isFile()) return undefined;
    const names = (await readSmall(manifest))?.split(/\r?\n/);
    if (!names) return undefined;
    const found = new Set<string>();
    for (const name of names) {
      if (!BLOB_OF_REPO.test(name) || name.split('/').some((part) => part === '.' || part === '..')) continue;
      const blob = join(this.#cacheDir, ...name.split('/'));
      if ((await this.targetOf(blob)) === entry) found.add(blob);
    }
    return found;
  }

  /**
   * Removes content that no repository links to any more, and gives the bytes freed. What is not known for sure to
   * be unused stays.
   */
  async sweep(entry: string): Promise<number> {
    let freed = 0;
    await this.#locked(entry, undefined, async () => {
      const [references, found] = await Promise.all([this.references(entry), lstatOf(entry)]);
      if (references?.size !== 0 || !found?.isFile()) return false;
      await rm(entry);
      freed = found.size;
      await rm(`${entry}.refs`, { force: true });
      return true;
    });
    return freed;
  }

  /** Removes content that is known to be wrong, whoever links to it. */
  async drop(entry: string): Promise<void> {
    const remove = async () => {
      await rm(entry, { force: true });
      await rm(`${entry}.refs`, { force: true });
      return true;
    };
    if (!(await this.#isPhysical(dirname(entry)))) return;
    // To leave it would spread it, so a lock that cannot be had is no reason to.
    if (!(await this.#locked(entry, undefined, remove))) await remove();
  }

  /** Everything in the store. */
  async list(): Promise<SharedBlob[]> {
    if (!(await this.exists())) return [];
    const found: SharedBlob[] = [];
    for (const prefix of await namesIn(this.folder)) {
      if (!/^[0-9a-f]{2}$/.test(prefix) || !(await lstatOf(join(this.folder, prefix)))?.isDirectory()) continue;
      for (const name of await namesIn(join(this.folder, prefix))) {
        if (!isHashHex(name) || !name.startsWith(prefix)) continue;
        const path = join(this.folder, prefix, name);
        const entry = await lstatOf(path);
        if (entry?.isFile()) found.push({ path, size: entry.size });
      }
    }
    return found;
  }

  #entry(xetHash: string): string {
    return join(this.folder, xetHash.slice(0, 2), xetHash);
  }

  /** A blob of a repository as the store's lists name it. */
  #name(blob: string): string {
    return relative(this.#cacheDir, resolve(blob)).split(sep).join('/');
  }

  /** Without a lock that Python's client knows, nothing here is safe, so nothing is done. */
  async #locked(entry: string, signal: AbortSignal | undefined, step: () => Promise<boolean>): Promise<boolean> {
    if (!(await this.#isPhysical(dirname(entry)))) return false;
    try {
      const lock = await acquirePythonLock(`${entry}.lock`, {
        signal: signal ?? new AbortController().signal,
        onWait: () => undefined,
        mode: 0o666,
      });
      if (!lock) return false;
      try {
        return await step();
      } finally {
        await lock.release();
      }
    } catch {
      signal?.throwIfAborted();
      return false;
    }
  }

  /**
   * The reference is on the disk before the link can be seen, or a sweep could take the content away.
   *
   * @param fill puts the blob's own content into the store, on the way.
   */
  async #replaceByLink(blob: string, entry: string, fill?: () => Promise<void>): Promise<boolean> {
    const name = this.#name(blob);
    const areHere = await Promise.all([blob, entry].map((path) => this.#isPhysical(dirname(path))));
    if (!BLOB_OF_REPO.test(name) || areHere.includes(false)) return false;
    const link = join(dirname(blob), `.${basename(blob)}.${randomBytes(4).toString('hex')}.shared`);
    try {
      await symlink(relative(dirname(resolve(blob)), entry), link);
      await appendReference(`${entry}.refs`, name);
      await fill?.();
      await rename(link, blob).catch(async (error: unknown) => {
        if (fill) await copyFile(entry, blob, constants.COPYFILE_EXCL);
        throw error;
      });
      return true;
    } finally {
      await rm(link, { force: true });
    }
  }

  /** A folder below a link lies elsewhere than its path says, and a relative link from there leads astray. */
  async #isPhysical(folder: string): Promise<boolean> {
    const [root, real] = await Promise.all([realPath(this.#cacheDir), realPath(folder)]);
    return root !== undefined && real === join(root, relative(this.#cacheDir, resolve(folder)));
  }

  /** As open as the cache folder itself. */
  async #makeFolder(folder: string): Promise<void> {
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    const [wanted, found] = await Promise.all([stat(this.#cacheDir), lstat(folder)]);
    if (!found.isDirectory()) return;
    const mode = wanted.mode & 0o3777;
    if ((found.mode & 0o7777) !== mode) await chmod(folder, mode);
  }

  /** Content is never changed, and can be read by all who can reach the cache folder. */
  async #setPermissions(file: string, folder: string): Promise<void> {
    const { mode } = await stat(this.#cacheDir);
    const [ofGroup, ofAll] = [(mode & 0o010) !== 0, (mode & 0o001) !== 0];
    await chmod(file, 0o400 | (ofGroup ? 0o040 : 0) | (ofAll ? 0o004 : 0));
    const [{ gid }, found] = await Promise.all([stat(folder), stat(file)]);
    if (found.gid === gid) return;
    const moved = chown(file, found.uid, gid);
    // With the wrong group the others could not read it.
    await (ofGroup && !ofAll ? moved : moved.catch(() => undefined));
  }
}

async function isUsable(entry: string, size: number): Promise<boolean> {
  const found = await lstatOf(entry);
  if (!found?.isFile() || found.size !== size) return false;
  return access(entry, constants.R_OK).then(
    () => true,
    () => false,
  );
}

async function appendReference(manifest: string, name: string): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
  const handle = await open(manifest, flags, 0o666);
  try {
    await tryTo(() => handle.chmod(0o666));
    await handle.writeFile(`${name}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function lstatOf(path: string) {
  return ifPresent(() => lstat(path));
}

async function namesIn(folder: string): Promise<string[]> {
  return (await ifPresent(() => readdir(folder))) ?? [];
}
