import { randomUUID } from 'node:crypto';
import { constants, type Dirent, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ChunkRecords, chunkSlice, totalLength } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { refuseLinks } from '../../fs/cache-folder.node.ts';
import { type DiskFile, lstat, mkdir, open, readdir, rename, rmdir, unlink, utimes } from '../../fs/disk.node.ts';
import { ifPresent, isAbsent } from '../../fs/if-present.ts';
import { onDisk } from '../../fs/small-files.node.ts';
import { isXorbRange, USE_STEP_MS } from './chunk-runs.ts';
import type { ChunkRun } from './chunk-store.ts';
import { decodeEntryHead, entryHeadBytes } from './entry-format.ts';

/** A file whose name says which chunks it holds. */
export interface EntryFile extends ChunkRange {
  path: string;
}

export interface StoredFile {
  path: string;
  /** Size on disk. */
  bytes: number;
  /** Time of last use, in milliseconds since 1970. */
  usedMs: number;
}

export interface Scan {
  /** Least recently used first. */
  entries: StoredFile[];
  /** Size of entries and of files being written. */
  bytes: number;
}

/** Age from which a file being written counts as abandoned. If it is not, one put is lost. */
const ABANDONED_MS = 30_000;
/** Times of use further in the future than this come from a wrong clock, and would never be evicted. */
const CLOCK_TOLERANCE_MS = 24 * 60 * 60 * 1000;

/*
 * <first two digits>/<xorb>-<first chunk>-<last chunk + 1>   an entry
 * writing/<uuid>                                             an entry that is being written
 * writer                                                     the process that last added entries
 */
const ENTRY_NAME = /^([0-9a-f]{64})-(0|[1-9]\d{0,4})-([1-9]\d{0,4})$/;
const SHELF_NAME = /^[0-9a-f]{2}$/;
const WRITING_NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const WRITING = 'writing';
const WRITER = 'writer';

export function entryPath(folder: string, xorb: string, { start, end }: ChunkRange): string {
  return join(folder, xorb.slice(0, 2), `${xorb}-${start}-${end}`);
}

/** Lists the entries of a xorb without opening them. */
export async function entriesOf(folder: string, xorb: string): Promise<EntryFile[]> {
  const shelf = join(folder, xorb.slice(0, 2));
  return (await list(shelf)).flatMap((file) => {
    const chunks = file.name.startsWith(xorb) && file.isFile() ? parseName(file.name) : undefined;
    return chunks ? [{ ...chunks, path: join(shelf, file.name) }] : [];
  });
}

function parseName(name: string): ChunkRange | undefined {
  const match = ENTRY_NAME.exec(name);
  if (!match) return undefined;
  const chunks = { start: Number(match[2]), end: Number(match[3]) };
  return isXorbRange(chunks) ? chunks : undefined;
}

/**
 * Loads chunks of an entry without hashing them. `unreadable`: the entry is gone or cannot be opened now, which says nothing
 * about its content.
 */
export async function loadEntry(
  entry: EntryFile,
  xorb: string,
  chunks: ChunkRange,
): Promise<ChunkRun | 'damaged' | 'unreadable'> {
  return withEntry(entry.path, async (handle) => {
    const file = await handle.stat();
    const all = await readRecords(handle, file, entry, xorb);
    if (!all) return 'damaged';
    const records = chunkSlice(all, chunks.start - entry.start, chunks.end - entry.start).slice();
    const position = entryHeadBytes(entry) + totalLength(chunkSlice(all, 0, chunks.start - entry.start));
    const bytes = await readExactly(handle, position, totalLength(records));
    if (!bytes) return 'damaged';
    await noteUse(entry.path, file.mtimeMs);
    return { chunks, records, bytes };
  });
}

/** Loads the records of an entry; undefined if they are invalid or unreadable. */
export async function loadRecords(entry: EntryFile, xorb: string): Promise<ChunkRecords | undefined> {
  const found = await withEntry(entry.path, async (handle) => readRecords(handle, await handle.stat(), entry, xorb));
  return typeof found === 'string' ? undefined : found;
}

async function withEntry<T>(
  path: string,
  use: (handle: DiskFile) => Promise<T>,
): Promise<T | 'damaged' | 'unreadable'> {
  let handle: DiskFile | undefined;
  try {
    handle = await openToRead(path);
    return await use(handle);
  } catch (error) {
    return codeOf(error) === 'EIO' ? 'damaged' : 'unreadable';
  } finally {
    // Closing a file that was only read loses nothing.
    await handle?.close().catch(() => undefined);
  }
}

async function readRecords(
  handle: DiskFile,
  file: Stats,
  entry: EntryFile,
  xorb: string,
): Promise<ChunkRecords | undefined> {
  // Allocates nothing that the file is too short for.
  if (!file.isFile() || file.size < entryHeadBytes(entry)) return undefined;
  const head = await readExactly(handle, 0, entryHeadBytes(entry));
  return head && decodeEntryHead(head, xorb, entry, file.size);
}

/** Opens a file that may be anything: a link is not followed, and a pipe is not waited for. */
async function openToRead(path: string): Promise<DiskFile> {
  await refuseLinks(dirname(path));
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

async function readExactly(handle: DiskFile, position: number, length: number): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) return undefined;
    at += bytesRead;
  }
  return bytes;
}

/** Sets the time of use, which is the file's time of modification. */
async function noteUse(path: string, usedMs: number): Promise<void> {
  const now = new Date();
  if (Math.abs(now.getTime() - usedMs) < USE_STEP_MS) return;
  // Files of other users, and read-only file systems, keep their times.
  await utimes(path, now, now).catch(() => undefined);
}

/**
 * Writes an entry that becomes visible when it is complete. There is no sync: entries damaged by a power loss
 * are detected on reading.
 */
export async function writeEntry(folder: string, path: string, parts: Uint8Array[]): Promise<void> {
  const temporary = join(folder, WRITING, randomUUID());
  try {
    const handle = await inFolder(temporary, () => open(temporary, 'wx'));
    try {
      let position = 0;
      for (const part of parts) {
        await writeAll(handle, part, position);
        position += part.length;
      }
    } finally {
      // Some file systems report only now that they are full.
      await handle.close();
    }
    await inFolder(path, () => rename(temporary, path));
  } catch (error) {
    await remove(temporary);
    throw error;
  }
}

async function writeAll(handle: DiskFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

/** Runs a step. If the folder of its path is missing, creates it and runs the step again. */
async function inFolder<T>(path: string, step: () => Promise<T>): Promise<T> {
  await refuseLinks(dirname(path));
  try {
    return await step();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true });
    return step();
  }
}

/**
 * True if no other writer has announced itself since this one did. If one has, this one announces itself again.
 * @param writer a UUID
 */
export async function isOnlyWriter(folder: string, writer: string): Promise<boolean> {
  const path = join(folder, WRITER);
  const name = new TextEncoder().encode(writer);
  try {
    const handle = await openToRead(path);
    try {
      const last = await readExactly(handle, 0, name.length);
      if (last?.every((byte, index) => byte === name[index])) return true;
    } finally {
      await handle.close();
    }
  } catch {
    // Absent or unreadable: either way there may be other writers.
  }
  // If this fails, the writer keeps rescanning the folder.
  await writeEntry(folder, path, [name]).catch(() => undefined);
  return false;
}

/** Scans all entries, and removes abandoned writes. Foreign files are ignored. */
export async function scanEntries(folder: string): Promise<Scan> {
  const now = Date.now();
  const entries: StoredFile[] = [];
  for (const shelf of await shelves(folder)) {
    const names = (await list(shelf)).map(({ name }) => name).filter(parseName);
    const files = await Promise.all(names.map((name) => fileAt(join(shelf, name))));
    for (const file of files) if (file) entries.push(file);
  }
  let bytes = entries.reduce((sum, file) => sum + file.bytes, 0);
  for (const path of await beingWritten(folder)) {
    const file = await fileAt(path);
    if (!file) continue;
    if (Math.abs(now - file.usedMs) > ABANDONED_MS) await remove(path);
    else bytes += file.bytes;
  }
  const orderOf = ({ usedMs }: StoredFile) => (usedMs > now + CLOCK_TOLERANCE_MS ? 0 : usedMs);
  return { entries: entries.sort((a, b) => orderOf(a) - orderOf(b)), bytes };
}

/** Removes unfinished writes and empty folders. Writers that are active lose one put. */
export async function tidyUp(folder: string): Promise<void> {
  for (const path of [...(await beingWritten(folder)), join(folder, WRITER)]) await remove(path);
  for (const path of [...(await shelves(folder)), join(folder, WRITING), folder]) {
    // It may hold foreign files, or another process may just have added an entry.
    await refuseLinks(dirname(path))
      .then(() => rmdir(path))
      .catch(() => undefined);
  }
}

async function shelves(folder: string): Promise<string[]> {
  return (await list(folder)).filter(({ name }) => SHELF_NAME.test(name)).map(({ name }) => join(folder, name));
}

async function beingWritten(folder: string): Promise<string[]> {
  const files = await list(join(folder, WRITING));
  return files.filter(({ name }) => WRITING_NAME.test(name)).map(({ name }) => join(folder, WRITING, name));
}

async function fileAt(path: string): Promise<StoredFile | undefined> {
  const file = await ifPresent(() => lstat(path));
  return file?.isFile() ? { path, bytes: onDisk(file.size), usedMs: file.mtimeMs } : undefined;
}

/** Lists a folder; an absent one is empty. */
async function list(folder: string): Promise<Dirent[]> {
  const entries = await ifPresent(async () => {
    await refuseLinks(folder);
    return readdir(folder, { withFileTypes: true });
  });
  return entries ?? [];
}

/**
 * Removes an entry unless it was used since the scan. `gone`: another process removed it.
 * A file that cannot be removed throws.
 */
export async function removeUnused({ path, usedMs }: StoredFile): Promise<'removed' | 'gone' | 'used'> {
  try {
    await refuseLinks(dirname(path));
    // File systems may round times.
    if (Math.abs((await lstat(path)).mtimeMs - usedMs) > 1) return 'used';
    await unlink(path);
    return 'removed';
  } catch (error) {
    if (isAbsent(error)) return 'gone';
    throw error;
  }
}

/** Removes a file. Failures are ignored, because the next scan finds it again. */
export async function remove(path: string): Promise<void> {
  await refuseLinks(dirname(path))
    .then(() => unlink(path))
    .catch(() => undefined);
}

export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '');
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
