import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { readFile, realpath, stat, utimes } from '../disk/disk.node.ts';
import { isVerified, type Verified } from '../download/content-hash.ts';
import { isHashHex } from '../hash.ts';
import { isRecord } from '../http/json.ts';
import { diskErrors } from '../repo/disk-errors.node.ts';
import {
  forAll,
  ifDiskAllows,
  isDiskError,
  namesIn,
  putFile,
  putMark,
  removeFolder,
  removeLeftovers,
  removeMark,
} from './cache-folder.node.ts';
import { onDisk } from './chunk-files.node.ts';
import type { FileContent, KnownFiles } from './known-files.ts';

/** What a file looked like when its content was known. Numbers that may exceed 2^53 are text. */
interface Stamp extends FileContent {
  /** Absolute, without links. */
  path: string;
  /** Bytes. */
  size: number;
  /** Nanoseconds since 1970. */
  mtimeNs: string;
  /** Of the last change of anything about the file: it moves on even where the time of modification is put back. */
  ctimeNs: string;
  inode: string;
}

/** The coarsest clock of a file system in use: FAT's two seconds, and some room. */
const COARSEST_CLOCK_NS = 2_500_000_000n;
const BACK_NS = 4_000n;

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
export function openKnownFiles(folder: string): KnownFiles {
  return new FolderKnownFiles(join(folder, 'v1'));
}

class FolderKnownFiles implements KnownFiles {
  readonly #files: string;
  readonly #marks: string;
  readonly #temporary: string;
  #tidied = false;

  constructor(folder: string) {
    this.#files = join(folder, 'files');
    this.#marks = join(folder, 'marks');
    this.#temporary = join(folder, 'temporary');
  }

  async remember(path: string, content: FileContent): Promise<void> {
    const { etag, verified } = content;
    await ifDiskAllows(async () => {
      const real = await realpath(path);
      const found = await settle(real);
      if (!found) return;
      const name = sha256(real);
      const before = await this.#read(name);
      // Who does not know the xet hash says nothing about it: the same content still has the same one.
      const xetHash = content.xetHash ?? (before?.etag === etag ? before.xetHash : undefined);
      const stamp: Stamp = { path: real, ...lookOf(found), etag, xetHash, verified };
      if (before?.xetHash !== undefined && before.xetHash !== xetHash) {
        await removeMark(this.#markPath(before.xetHash, name));
      }
      // First the mark: without a stamp it is nothing, and a stamp without it would be no source for others.
      if (isHashHex(xetHash)) await putMark(this.#markPath(xetHash, name));
      await putFile(this.#temporary, this.#stampPath(name), encodeStamp(stamp));
      if (this.#tidied) return;
      this.#tidied = true;
      await this.#tidy(name);
    });
  }

  async check(path: string, etag: string, size?: number): Promise<Verified | undefined> {
    return ifDiskAllows(async () => {
      const real = await realpath(path);
      const stamp = await this.#read(sha256(real));
      if (stamp?.path !== real || stamp.etag !== etag) return undefined;
      if (size !== undefined && stamp.size !== size) return undefined;
      return looksTheSame(stamp, await stat(real, { bigint: true })) ? stamp.verified : undefined;
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
    const name = sha256(await whereItIs(path));
    const stamp = await this.#read(name);
    if (stamp?.xetHash !== undefined) await removeMark(this.#markPath(stamp.xetHash, name));
    await removeMark(this.#stampPath(name));
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
    return { bytes, files };
  }

  async clear(): Promise<void> {
    await diskErrors(this.#files, async () => {
      await removeFolder(this.#temporary, this.#files);
      await removeFolder(this.#temporary, this.#marks);
    });
  }

  async #read(name: string): Promise<Stamp | undefined> {
    const text = await ifDiskAllows(() => readFile(this.#stampPath(name), 'utf8'));
    return text === undefined ? undefined : decodeStamp(text);
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

/** How a file looks once nothing can be written to it without showing. Undefined where that cannot be had. */
async function settle(path: string): Promise<BigIntStats | undefined> {
  const before = await stat(path, { bigint: true });
  if (!before.isFile()) return undefined;
  const ageNs = BigInt(Date.now()) * 1_000_000n - before.mtimeNs;
  if (ageNs > COARSEST_CLOCK_NS) return before;
  await utimes(path, seconds(before.atimeNs), seconds(before.mtimeNs - BACK_NS));
  const after = await stat(path, { bigint: true });
  return after.mtimeNs < before.mtimeNs && after.size === before.size && after.ino === before.ino ? after : undefined;
}

function seconds(ns: bigint): number {
  return Number(ns) / 1e9;
}

function lookOf(found: BigIntStats) {
  return {
    size: Number(found.size),
    mtimeNs: String(found.mtimeNs),
    ctimeNs: String(found.ctimeNs),
    inode: String(found.ino),
  };
}

function looksTheSame(stamp: Stamp, found: BigIntStats): boolean {
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

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** JSON, and a line with its sha256: a number in JSON with a digit changed is still a number. */
function encodeStamp(stamp: Stamp): Uint8Array {
  const json = JSON.stringify(stamp);
  return new TextEncoder().encode(`${json}\n${sha256(json)}\n`);
}

function decodeStamp(text: string): Stamp | undefined {
  const [json = '', sum, ...rest] = text.split('\n');
  if (sum !== sha256(json) || rest.join('') !== '') return undefined;
  const stamp: unknown = parse(json);
  if (!isRecord(stamp)) return undefined;
  const { path, size, mtimeNs, ctimeNs, inode, etag, xetHash, verified } = stamp;
  const texts = [path, mtimeNs, ctimeNs, inode, etag];
  if (!texts.every((value) => typeof value === 'string') || typeof size !== 'number') return undefined;
  if (xetHash !== undefined && !isHashHex(xetHash)) return undefined;
  return isVerified(verified) ? (stamp as unknown as Stamp) : undefined;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
