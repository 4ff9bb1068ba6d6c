import type { Stats } from 'node:fs';
import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { XetError } from '../core/errors.ts';
import { type SharedBlob, SharedBlobs } from '../files/disk/shared-blobs.node.ts';
import { isDiskError } from '../fs/cache-folder.node.ts';
import { diskErrors } from '../fs/disk-errors.node.ts';
import { Fence } from '../fs/fence.node.ts';
import { ifPresent } from '../fs/if-present.ts';
import { readSmall } from '../fs/small-files.node.ts';
import { type CachedFile, type CachedRepo, type CachedRevision, type CacheScan, filesOf } from './cached-repo.ts';

const TYPES: Record<string, CachedRepo['type']> = {
  models: 'model',
  datasets: 'dataset',
  spaces: 'space',
  kernels: 'kernel',
};
/** Files that desktops put into folders. */
const SYSTEM_FILES = new Set(['.DS_Store', 'Thumbs.db', 'desktop.ini']);
const CACHE_FILES = new Set(['.locks', 'CACHEDIR.TAG']);

/** Scans a Hub cache folder. Damage is a warning; only a folder that cannot be read at all is an error. */
export async function scanCache(folder: string, signal?: AbortSignal): Promise<CacheScan> {
  const path = resolve(folder);
  const scan: CacheScan = { path, repos: [], size: 0, unfinished: [], shared: [], warnings: [] };
  const names = await diskErrors(path, () =>
    readdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      if (error.code === 'ENOTDIR') throw new XetError('INVALID_ARGUMENT', `${path} is a file, not a cache folder.`);
      if (isForbidden(error)) {
        throw new XetError('PERMISSION', `${path} cannot be read by this user (${error.code}).`, { cause: error });
      }
      throw error;
    }),
  );
  const store = new SharedBlobs(path);
  const fence = Fence.ofCache(path);
  const hasStore = await store.exists();
  for (const name of names.sort()) {
    signal?.throwIfAborted();
    const isStore = hasStore && name === basename(store.folder);
    if (isStore || SYSTEM_FILES.has(name) || CACHE_FILES.has(name)) continue;
    await new RepoScan(join(path, name), scan, fence).run(signal);
  }
  scan.shared = await store.list();
  scan.size = await sizeOnDisk(scan, store);
  return scan;
}

/** Sums file sizes. Shared content counts once. */
async function sizeOnDisk({ repos, shared }: CacheScan, store: SharedBlobs): Promise<number> {
  const sizes = new Map(shared.map(({ path, size }) => [path, size]));
  for (const { blob, size } of repos.flatMap(filesOf)) {
    const target = shared.length > 0 ? await store.targetOf(blob) : undefined;
    if (target === undefined || !sizes.has(target)) sizes.set(blob, size);
  }
  return sum([...sizes.values()]);
}

/** Scan of one entry of the cache folder, which should be a repository. */
class RepoScan {
  readonly #path: string;
  readonly #scan: CacheScan;
  readonly #fence: Fence;
  readonly #stats = new Map<string, Stats>();
  readonly #brokenLinks: string[] = [];

  constructor(path: string, scan: CacheScan, fence: Fence) {
    this.#path = path;
    this.#scan = scan;
    this.#fence = fence;
  }

  async run(signal?: AbortSignal): Promise<void> {
    try {
      await this.#scanRepo(signal);
    } catch (error) {
      signal?.throwIfAborted();
      this.#warn(this.#path, error instanceof Error ? error.message : String(error), isForbidden(error));
    }
  }

  async #scanRepo(signal?: AbortSignal): Promise<void> {
    const path = this.#path;
    const name = basename(path);
    const [prefix = '', ...rest] = name.split('--');
    const type = TYPES[prefix];
    const own = await stat(path);
    if (!own.isDirectory() || rest.length === 0 || type === undefined) {
      this.#warn(path, `This ${own.isDirectory() ? 'folder' : 'file'} is not a repository and does not belong here.`);
      return;
    }

    await this.#fence.check(path);
    const entries = await this.#scanBlobs();
    const refs = await this.#readRefs();
    const revisions: CachedRevision[] = [];
    const snapshots = await this.#entriesOf(join(path, 'snapshots'));
    if (!snapshots) this.#warn(path, 'The snapshots folder is missing.');
    for (const entry of snapshots ?? []) {
      signal?.throwIfAborted();
      const snapshot = join(path, 'snapshots', entry);
      if (SYSTEM_FILES.has(entry)) continue;
      const found = await this.#statOf(snapshot);
      if (found === 'unreadable') continue;
      if (!found?.isDirectory()) {
        this.#warn(snapshot, 'A file is among the snapshots, where only folders belong.');
        continue;
      }
      if (!(await this.#isInside(snapshot))) continue;
      revisions.push(await this.#scanRevision(snapshot, refs));
    }
    // The refs that remain point to commits that are not present.
    const danglingRefs = [...refs.values()].flat().map((ref) => join(path, 'refs', ...ref.split('/')));
    for (const ref of danglingRefs) this.#warn(ref, 'It points to a commit that is not present.');

    const size = sum([...this.#stats.values()].map((found) => found.size));
    const times = this.#stats.size > 0 ? [...this.#stats.values()] : [own];
    this.#scan.repos.push({
      type,
      name: rest.join('/'),
      path,
      revisions,
      size,
      blobs: this.#stats.size,
      sharedBytes: sum(revisions.map((revision) => revision.size)) - size,
      lastAccessed: latest(times.map(({ atimeMs }) => atimeMs)),
      lastModified: latest(times.map(({ mtimeMs }) => mtimeMs)),
      unused: entries.filter((blob) => !this.#stats.has(blob.path)),
      brokenLinks: this.#brokenLinks,
      danglingRefs,
    });
  }

  /** Returns complete content, and adds incomplete content to the scan. */
  async #scanBlobs(): Promise<SharedBlob[]> {
    const folder = join(this.#path, 'blobs');
    const finished: SharedBlob[] = [];
    for (const name of (await this.#entriesOf(folder)) ?? []) {
      if (SYSTEM_FILES.has(name)) continue;
      const path = join(folder, name);
      const found = await ifPresent(() => lstat(path));
      if (!found) continue;
      const size = found.isSymbolicLink() ? 0 : found.size;
      if (name.endsWith('.incomplete')) this.#scan.unfinished.push({ path, size });
      else finished.push({ path, size });
    }
    return finished;
  }

  /** Returns refs by the commits that they point to. */
  async #readRefs(): Promise<Map<string, string[]>> {
    const folder = join(this.#path, 'refs');
    const found = new Map<string, string[]>();
    const kind = await ifPresent(() => lstat(folder));
    if (kind?.isFile()) this.#warn(folder, 'A file is where the refs folder should be.');
    const isThere = kind !== undefined && !kind.isFile() && (await this.#isInside(folder));
    for (const path of isThere ? await this.#filesBelow(folder) : []) {
      if (SYSTEM_FILES.has(basename(path))) continue;
      const commit = await readSmall(path);
      if (commit === undefined) {
        this.#warn(path, 'It cannot be read.', true);
        continue;
      }
      const refs = found.get(commit) ?? [];
      refs.push(relative(folder, path).split(sep).join('/'));
      found.set(commit, refs.sort());
    }
    return found;
  }

  async #scanRevision(path: string, refs: Map<string, string[]>): Promise<CachedRevision> {
    const commit = basename(path);
    const files: CachedFile[] = [];
    for (const file of (await this.#filesBelow(path)).sort()) {
      const target = await linkTarget(file);
      // Only one link is followed: the next one may lead to content that repositories share.
      const blob = target === undefined ? file : resolve(dirname(file), target);
      const found = this.#stats.get(blob) ?? (await this.#statOf(blob, file));
      if (found === 'unreadable') continue;
      if (!found) {
        this.#brokenLinks.push(file);
        this.#warn(file, `Its target ${blob} does not exist.`);
        continue;
      }
      if (!this.#stats.has(blob) && !(await this.#fence.has(file))) {
        this.#warn(file, 'It leads out of the cache folder, so it is ignored.');
        continue;
      }
      if (!found.isFile()) continue;
      this.#stats.set(blob, found);
      files.push({
        file: relative(path, file).split(sep).join('/'),
        path: file,
        blob,
        size: found.size,
        lastAccessed: found.atimeMs,
        lastModified: found.mtimeMs,
      });
    }
    const sizes = new Map(files.map(({ blob, size }) => [blob, size]));
    const modified = files.map(({ lastModified }) => lastModified);
    const revision = {
      commit,
      path,
      refs: refs.get(commit) ?? [],
      files,
      size: sum([...sizes.values()]),
      lastModified: files.length > 0 ? latest(modified) : (await stat(path)).mtimeMs,
    };
    refs.delete(commit);
    return revision;
  }

  /** Returns undefined for an absent path. Any other failure is a warning: nothing is known of it, so it stays. */
  async #statOf(path: string, place = path): Promise<Stats | 'unreadable' | undefined> {
    try {
      return await ifPresent(() => stat(path));
    } catch (error) {
      if (!isDiskError(error)) throw error;
      this.#warn(place, `${path} cannot be read (${error.code}).`, true);
      return 'unreadable';
    }
  }

  /** True if a folder is inside the cache folder, with a warning if a link leads out of it. */
  async #isInside(folder: string): Promise<boolean> {
    try {
      await this.#fence.check(folder);
      return true;
    } catch (error) {
      this.#warn(folder, error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** Returns undefined for an absent folder. */
  async #entriesOf(folder: string): Promise<string[] | undefined> {
    if (!(await this.#isInside(folder))) return undefined;
    try {
      return (await readdir(folder)).sort();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') this.#warn(folder, `It cannot be read (${code}).`, true);
      return undefined;
    }
  }

  #warn(path: string, message: string, unreadable = false): void {
    this.#scan.warnings.push({ localPath: path, message, ...(unreadable && { unreadable }) });
  }

  /** Returns everything below a folder but folders. Links to folders are not followed. */
  async #filesBelow(folder: string): Promise<string[]> {
    const found: string[] = [];
    const folders = [folder];
    for (const each of folders) {
      const entries = await readdir(each, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') this.#warn(each, `It cannot be read (${error.code}).`, true);
        return [];
      });
      for (const entry of entries) (entry.isDirectory() ? folders : found).push(join(each, entry.name));
    }
    return found;
  }
}

/** Returns the target of a link; undefined if the path is absent or not a link. */
export async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await ifPresent(() => readlink(path));
  } catch (error) {
    if (isDiskError(error) && error.code === 'EINVAL') return undefined;
    throw error;
  }
}

/** True if something may exist although it cannot be read. */
function isForbidden(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function latest(times: readonly number[]): number {
  return times.reduce((late, each) => Math.max(late, each), 0);
}
