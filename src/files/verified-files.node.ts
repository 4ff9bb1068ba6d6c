import type { BigIntStats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { isVerified, type Verified } from '../core/content-hash.ts';
import { isHashHex } from '../core/hash.ts';
import { isRecord } from '../core/json-values.ts';
import { setRecent } from '../core/lru.ts';
import {
  forAll,
  ifDiskAllows,
  isDiskError,
  namesIn,
  putFile,
  putMark,
  readOwn,
  removeFolder,
  removeLeftovers,
  removeMark,
} from '../fs/cache-folder.node.ts';
import { parseWithSum, sha256Of, withSum } from '../fs/checked-json.node.ts';
import { realpath, stat, utimes } from '../fs/disk.node.ts';
import { diskErrors } from '../fs/disk-errors.node.ts';
import { onDisk } from '../fs/small-files.node.ts';
import { StatBatcher } from '../fs/stat-batcher.node.ts';
import { SnapshotIndex } from './snapshot-index.node.ts';
import type {
  FileContent,
  FileFingerprint,
  SnapshotsSeen,
  VerifiedFiles,
  VerifiedFingerprint,
} from './verified-files.ts';

/** A file that was seen, and where. */
interface Stamp extends FileContent, VerifiedFingerprint {
  /** Absolute, without links. */
  path: string;
}

/** The coarsest clock of a file system in use: FAT's two seconds, and some room. */
const COARSEST_CLOCK_NS = 2_500_000_000n;
const BACK_NS = 4_000n;

/** Paths of which this process knows by itself what is there. */
const MAX_RECENT = 131_072;

/**
 * Stamps of verified files, in a folder that any number of processes may share: `v1/files/<2 hex>/<sha256 of the
 * path>`, and for each content the names of its stamps in those of empty files, `v1/marks/<2 hex>/<xet file hash>-<stamp>`.
 *
 * A file that is written again within one tick of the disk's clock (1 to 10 ms; 2 s on FAT) keeps its time. Files
 * are remembered right after they were written, so that is no rare case here, and hashing all such files again, as git does,
 * would make the second download of everything slow. So remembering a file that is younger than that sets its time of
 * modification back by some microseconds: whatever is written to it from then on makes it later again. Where
 * the disk does not allow this, the file is not remembered: it is hashed again, and remembered then.
 */
export function openVerifiedFiles(folder: string): VerifiedFiles {
  return new FolderVerifiedFiles(join(folder, 'v1'));
}

class FolderVerifiedFiles implements VerifiedFiles {
  readonly #files: string;
  readonly #marks: string;
  readonly #temporary: string;
  readonly #notes: SnapshotIndex;
  readonly #looks = new StatBatcher();
  readonly snapshots: SnapshotsSeen;
  /** Files that this process has remembered or checked, by the paths that it was told and by their true ones. */
  readonly #recent = new Map<string, Stamp>();
  #tidied = false;

  constructor(folder: string) {
    this.#files = join(folder, 'files');
    this.#marks = join(folder, 'marks');
    this.#temporary = join(folder, 'temporary');
    const notes = new SnapshotIndex(join(folder, 'snapshots'), this.#temporary);
    this.#notes = notes;
    this.snapshots = {
      read: (root, commit) => notes.read(root, commit),
      write: (root, commit, files) => notes.write(root, commit, files),
      look: (path, etag) => this.#look(path, etag),
      isSame: async (path, seen) => {
        const found = await ifDiskAllows(() => this.#looks.stat(path));
        return found !== undefined && looksTheSame(seen, found);
      },
    };
  }

  async remember(path: string, content: FileContent, look?: FileFingerprint): Promise<void> {
    const { etag, verified } = content;
    await ifDiskAllows(async () => {
      const real = await realpath(path);
      const found = await settle(real, look);
      if (!found) return;
      const name = sha256Of(real);
      const before = await this.#read(name);
      // Who does not know the xet hash says nothing about it: the same content still has the same one.
      const xetHash = content.xetHash ?? (before?.etag === etag ? before.xetHash : undefined);
      const stamp: Stamp = { path: real, ...lookOf(found), etag, xetHash, verified };
      if (before?.xetHash !== undefined && before.xetHash !== xetHash) {
        await removeMark(this.#markPath(before.xetHash, name));
      }
      // First the mark: without a stamp it is nothing, and a stamp without it would be no source for others.
      if (isHashHex(xetHash)) await putMark(this.#markPath(xetHash, name));
      await putFile(this.#temporary, this.#stampPath(name), withSum(JSON.stringify(stamp)));
      this.#noteRecent(path, stamp);
      if (this.#tidied) return;
      this.#tidied = true;
      await this.#tidy(name);
    });
  }

  async check(path: string, etag: string, size?: number): Promise<Verified | undefined> {
    return ifDiskAllows(async () => {
      const real = await realpath(path);
      const stamp = await this.#read(sha256Of(real));
      if (stamp?.path !== real || stamp.etag !== etag) return undefined;
      if (size !== undefined && stamp.size !== size) return undefined;
      if (!looksTheSame(stamp, await stat(real, { bigint: true }))) return undefined;
      this.#noteRecent(path, stamp);
      return stamp.verified;
    });
  }

  async pathsOf(xetHash: string): Promise<string[]> {
    if (!isHashHex(xetHash)) return [];
    const paths: string[] = [];
    for (const mark of await namesIn(this.#marksFolder(xetHash))) {
      if (!mark.startsWith(`${xetHash}-`)) continue;
      const name = mark.slice(xetHash.length + 1);
      const stamp = await this.#read(name);
      const state = stamp?.xetHash === xetHash ? await stateOf(stamp) : 'other';
      if (stamp && state === 'same') paths.push(stamp.path);
      // What cannot be looked at now, on a disk that is not mounted or not ours to see, may be there again later.
      if (state === 'same' || state === 'unknown') continue;
      await removeMark(this.#markPath(xetHash, name));
      if (stamp && state === 'changed') await removeMark(this.#stampPath(name));
    }
    return paths;
  }

  async forget(path: string): Promise<void> {
    const name = sha256Of(await whereItIs(path));
    const stamp = await this.#read(name);
    if (stamp?.xetHash !== undefined) await removeMark(this.#markPath(stamp.xetHash, name));
    await removeMark(this.#stampPath(name));
    this.#recent.clear();
    // It may be in any of them, and this is rare.
    await ifDiskAllows(() => this.#notes.clear());
  }

  async usage(): Promise<{ bytes: number; files: number }> {
    let files = 0;
    let bytes = 0;
    await forAll(await namesIn(this.#files), async (part) => {
      for (const name of await namesIn(join(this.#files, part))) {
        const found = await ifDiskAllows(() => stat(join(this.#files, part, name)));
        if (!found?.isFile()) continue;
        files++;
        bytes += onDisk(found.size);
      }
    });
    return { bytes: bytes + (await this.#notes.usage()), files };
  }

  async clear(): Promise<void> {
    await diskErrors(this.#files, async () => {
      await removeFolder(this.#temporary, this.#files);
      await removeFolder(this.#temporary, this.#marks);
      await this.#notes.clear();
      this.#recent.clear();
    });
  }

  async #read(name: string): Promise<Stamp | undefined> {
    const text = await readOwn(this.#stampPath(name));
    return text === undefined ? undefined : decodeStamp(text);
  }

  /** The noted fingerprint is the expected one; the next look compares it. */
  async #look(path: string, etag: string): Promise<VerifiedFingerprint | undefined> {
    const stamp = this.#recent.get(path) ?? this.#recent.get((await ifDiskAllows(() => realpath(path))) ?? '');
    if (stamp?.etag !== etag) return undefined;
    const { size, mtimeNs, ctimeNs, inode, verified } = stamp;
    return { etag, size, mtimeNs, ctimeNs, inode, verified };
  }

  #noteRecent(path: string, stamp: Stamp): void {
    setRecent(this.#recent, path, stamp, MAX_RECENT);
    if (path !== stamp.path) setRecent(this.#recent, stamp.path, stamp, MAX_RECENT);
  }

  /** Once per process, in one of 256 folders: forgets files that are gone, so that the stamps do not only grow. */
  async #tidy(newest: string): Promise<void> {
    await removeLeftovers(this.#temporary);
    for (const name of await namesIn(dirname(this.#stampPath(newest)))) {
      const stamp = await this.#read(name);
      if (stamp && (await stateOf(stamp)) !== 'changed') continue;
      if (stamp?.xetHash !== undefined) await removeMark(this.#markPath(stamp.xetHash, name));
      await removeMark(this.#stampPath(name));
    }
  }

  #stampPath(name: string): string {
    return join(this.#files, name.slice(0, 2), name);
  }

  #markPath(xetHash: string, name: string): string {
    return join(this.#marksFolder(xetHash), `${xetHash}-${name}`);
  }

  #marksFolder(xetHash: string): string {
    return join(this.#marks, xetHash.slice(0, 2));
  }
}

/** Fingerprint of a file after which every write is visible; undefined if that is impossible. */
async function settle(path: string, look: FileFingerprint | undefined): Promise<BigIntStats | undefined> {
  const before = await stat(path, { bigint: true });
  if (!before.isFile() || (look && isOther(before, look))) return undefined;
  const ageNs = BigInt(Date.now()) * 1_000_000n - before.mtimeNs;
  if (ageNs > COARSEST_CLOCK_NS) return before;
  await utimes(path, seconds(before.atimeNs), seconds(before.mtimeNs - BACK_NS));
  const after = await stat(path, { bigint: true });
  return after.mtimeNs < before.mtimeNs && after.size === before.size && after.ino === before.ino ? after : undefined;
}

/** Another file, or one that was written to since. Whoever remembers the same file may have set its time back. */
function isOther(now: BigIntStats, look: FileFingerprint): boolean {
  return now.ino !== look.ino || now.size !== look.size || now.mtimeNs > look.mtimeNs;
}

function seconds(ns: bigint): number {
  return Number(ns) / 1e9;
}

function lookOf(found: BigIntStats): Omit<VerifiedFingerprint, 'etag' | 'verified'> {
  return {
    size: Number(found.size),
    mtimeNs: String(found.mtimeNs),
    ctimeNs: String(found.ctimeNs),
    inode: String(found.ino),
  };
}

function looksTheSame(stamp: VerifiedFingerprint, found: BigIntStats): boolean {
  const look = lookOf(found);
  return (
    found.isFile() &&
    look.size === stamp.size &&
    look.mtimeNs === stamp.mtimeNs &&
    look.ctimeNs === stamp.ctimeNs &&
    look.inode === stamp.inode
  );
}

async function stateOf(stamp: Stamp): Promise<'same' | 'changed' | 'unknown'> {
  try {
    const found = await stat(stamp.path, { bigint: true });
    // A link put in its place later would lead to a file that has a stamp of its own.
    return looksTheSame(stamp, found) && (await realpath(stamp.path)) === stamp.path ? 'same' : 'changed';
  } catch (error) {
    if (!isDiskError(error)) throw error;
    return error.code === 'ENOENT' || error.code === 'ENOTDIR' ? 'changed' : 'unknown';
  }
}

/** The true path, also of a file that is gone. */
async function whereItIs(path: string): Promise<string> {
  const whole = await ifDiskAllows(() => realpath(path));
  if (whole !== undefined) return whole;
  const folder = await ifDiskAllows(() => realpath(dirname(resolve(path))));
  return folder === undefined ? resolve(path) : join(folder, basename(path));
}

function decodeStamp(text: string): Stamp | undefined {
  const stamp = parseWithSum(text);
  if (!isRecord(stamp)) return undefined;
  const { path, size, mtimeNs, ctimeNs, inode, etag, xetHash, verified } = stamp;
  const texts = [path, mtimeNs, ctimeNs, inode, etag];
  if (!texts.every((value) => typeof value === 'string') || typeof size !== 'number') return undefined;
  if (xetHash !== undefined && !isHashHex(xetHash)) return undefined;
  return isVerified(verified) ? (stamp as unknown as Stamp) : undefined;
}
