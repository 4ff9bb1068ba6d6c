import { dirname, join, parse, relative, resolve, sep } from 'node:path';
import { XetError } from '../core/errors.ts';
import { lstat, readlink } from './disk.node.ts';
import { makeFolder } from './disk-errors.node.ts';
import { ifPresent } from './if-present.ts';
import { isBelow, realPath } from './safe-paths.node.ts';
import { readSmall } from './small-files.node.ts';

/** As many as systems follow. */
const MAX_LINKS = 40;

/**
 * A folder that nothing leaves through a link that lies in it. The folder itself may be a link.
 *
 * In the Hub cache folder, folders of repositories and those in them (`blobs`, `snapshots`) may be links as well, if
 * this user or the administrator made them: a cache may be spread over disks.
 */
export class Fence {
  readonly root: string;
  readonly #linkLevels: number;
  #realRoot: string | undefined;

  /** @param linkLevels of folders below the root that may be links of this user. */
  constructor(root: string, linkLevels = 0) {
    this.root = resolve(root);
    this.#linkLevels = linkLevels;
  }

  /** A fence for the Hub cache folder. */
  static ofCache(cacheDir: string): Fence {
    return new Fence(cacheDir, 2);
  }

  /** Throws `CACHE` if a link leads out on the way to a folder, whether that is there yet or not. */
  async check(folder: string): Promise<void> {
    const { path, real } = await this.#realOrAbove(folder);
    if (real === undefined || (await this.#isInside(real, path))) return;
    const link = await this.#linkOnTheWay(folder);
    throw new XetError(
      'CACHE',
      `${link} is a link that leads out of ${this.root}, so nothing there is used. Remove that link and run the same again.`,
    );
  }

  /** True if a file, or what a link of that name leads to, lies inside. False if there is none. */
  async has(path: string): Promise<boolean> {
    const real = await realPath(path);
    return real !== undefined && (await this.#isInside(real, path, true));
  }

  /** True if no link leads out on the way to a folder. */
  allows(folder: string): Promise<boolean> {
    return this.check(folder).then(
      () => true,
      () => false,
    );
  }

  async makeFolder(folder: string): Promise<void> {
    await this.check(folder);
    await makeFolder(folder);
  }

  /** @param asFile links of snapshots lead to other folders of their repository, and to content that repositories share. */
  async #isInside(real: string, path: string, asFile = false): Promise<boolean> {
    this.#realRoot ??= await realPath(this.root);
    // Then there is nothing in it either.
    if (this.#realRoot === undefined) return true;
    const below = relative(this.root, resolve(path));
    // No links, as nearly always.
    if (real === join(this.#realRoot, below)) return true;
    const names = below.split(sep);
    const level = join(this.root, ...names.slice(0, this.#linkLevels));
    const realLevel = await realPath(level);
    // A folder stays where it is, and does not lead to another one of the same cache.
    if (!asFile && (realLevel === undefined || isIn(real, realLevel))) return this.#isOurs(level, realLevel);
    if (!asFile) return false;
    if (isIn(real, this.#realRoot)) return true;
    for (const place of [level, join(this.root, names[0] ?? ''), join(this.root, names[0] ?? '', 'blobs')]) {
      const there = this.#linkLevels > 0 ? await realPath(place) : undefined;
      if (there !== undefined && isIn(real, there) && (await this.#isOurs(place, there))) return true;
    }
    return false;
  }

  /** True if a folder is where it seems to be, or links of this user lead from there. */
  async #isOurs(folder: string, real: string | undefined): Promise<boolean> {
    if (real === undefined || this.#realRoot === undefined || isIn(real, this.#realRoot)) return true;
    return followsOwnLinks(this.root, folder);
  }

  /** The nearest folder that is there, and where it really is. */
  async #realOrAbove(folder: string): Promise<{ path: string; real: string | undefined }> {
    let present = resolve(folder);
    let real = await realPath(present);
    while (real === undefined && present !== this.root && dirname(present) !== present) {
      present = dirname(present);
      real = await realPath(present);
    }
    return { path: present, real };
  }

  async #linkOnTheWay(folder: string): Promise<string> {
    let at = this.root;
    for (const name of relative(this.root, resolve(folder)).split(sep)) {
      at = join(at, name);
      if ((await ifPresent(() => lstat(at)))?.isSymbolicLink()) return at;
    }
    return folder;
  }
}

/** Text of a small file inside, or undefined where there is none that can be read. */
export async function readBelow(fence: Fence, path: string): Promise<string | undefined> {
  return (await fence.allows(dirname(path))) ? readSmall(path) : undefined;
}

function isIn(path: string, folder: string): boolean {
  return path === folder || isBelow(path, folder);
}

/** True if all links below a root on the way to a folder, and those that they lead through, are this user's or the system's. */
async function followsOwnLinks(root: string, folder: string): Promise<boolean> {
  const user = process.geteuid?.();
  // Windows: only administrators make links there.
  if (user === undefined) return true;
  let at = root;
  const names = relative(root, resolve(folder)).split(sep);
  for (let links = 0; names.length > 0; ) {
    const next = join(at, names.shift() ?? '');
    const found = await ifPresent(() => lstat(next));
    if (!found?.isSymbolicLink()) {
      at = next;
      continue;
    }
    const isOurs = found.uid === user || found.uid === 0;
    const target = isOurs && links++ < MAX_LINKS ? await ifPresent(() => readlink(next)) : undefined;
    if (target === undefined) return false;
    const full = resolve(at, target);
    at = parse(full).root;
    names.unshift(...relative(at, full).split(sep));
  }
  return true;
}
