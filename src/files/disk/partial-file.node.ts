import type { BigIntStats } from 'node:fs';
import { dirname } from 'node:path';
import type { ChunkRecords } from '../../core/chunks.ts';
import type { Verified } from '../../core/content-hash.ts';
import { XetError } from '../../core/errors.ts';
import { type ByteRange, lengthOf } from '../../core/ranges.ts';
import { type DiskFile, lstat, rename, rm } from '../../fs/disk.node.ts';
import { diskErrors, makeFolder } from '../../fs/disk-errors.node.ts';
import { allocatedBytes, requireSpace } from '../../fs/free-space.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { acquireLock, type HeldLock, type LockTiming } from '../../fs/lock.node.ts';
import { isStillAt } from '../../fs/small-files.node.ts';
import { writeAll } from '../../fs/write-all.node.ts';
import { encodeEntry, type Left } from '../journal.ts';
import type { FileDestination, FileSink, HeldPart } from '../place.ts';
import { entriesStart, NOBODY, type Paths, pathsOf, writeJournal } from './partial-journal.node.ts';
import { openData } from './partial-recovery.node.ts';

/** Identity of the file that a partial file belongs to; another identity makes it useless. */
export interface PartialIdentity {
  etag: string;
  size: number;
  xetHash: string | undefined;
}

export interface PartialFileOptions {
  signal: AbortSignal;
  onWait: () => void;
  resume: boolean;
  /** Taken after our own lock and before anything is changed, and released with it. */
  alsoLock?: (() => Promise<{ release(): Promise<void> } | undefined>) | undefined;
  timing?: LockTiming | undefined;
}

/** Gives a finished file its name. `look` is the file as it was verified. */
export type Publish = (finished: string, verified: Verified, look: BigIntStats) => Promise<string>;

interface Parts {
  paths: Paths;
  header: Uint8Array;
  size: number;
  data: DiskFile;
  journal: DiskFile;
  journalEnd: number;
  lock: HeldLock;
  also: { release(): Promise<void> } | undefined;
}

const READ_BYTES = 1024 * 1024;

/**
 * A file on its way, with a journal of what it holds where. Bytes are written before the journal names them,
 * and chunks that the journal names are hashed again before they are believed, so that a kill at any moment costs
 * only what was not yet written.
 *
 * A process may lose its lock while it is suspended, and does not know it until it runs again. So a file is written
 * only where nobody else can have it open: the journal names its writer, and whoever finds a writer that may still be
 * there goes on in a copy. A finished file is first given a name that no other process uses.
 */
export class PartialFile implements FileSink {
  readonly #parts: Parts;
  readonly #publish: Publish;
  held: HeldPart[];
  unchecked: ByteRange[];
  #journalEnd: number;
  /** Journal entries are written one after the other: a gap would hide what lies behind it. */
  #noting: Promise<void> = Promise.resolve();
  /** True if it holds data that another attempt could use. */
  #useful: boolean;
  #closed = false;

  private constructor(parts: Parts, publish: Publish, { held, unchecked }: Left) {
    this.#parts = parts;
    this.#journalEnd = parts.journalEnd;
    this.#publish = publish;
    this.held = held;
    this.unchecked = unchecked;
    this.#useful = held.length + unchecked.length > 0;
  }

  /** @param stem path of the partial file without its endings. */
  static open(
    stem: string,
    identity: PartialIdentity,
    options: PartialFileOptions,
    publish: Publish,
  ): Promise<PartialFile> {
    const { data, lock: lockPath } = pathsOf(stem, '');
    return diskErrors(data, async () => {
      await makeFolder(dirname(stem));
      const lock = await acquireLock(lockPath, options);
      const paths = pathsOf(stem, lock.nonce);
      const opened: DiskFile[] = [];
      let also: Parts['also'];
      let isEmpty = false;
      try {
        also = await options.alsoLock?.();
        const { etag, size, xetHash } = identity;
        const header = new TextEncoder().encode(
          `${JSON.stringify({ xetkit: 3, etag, size, xetHash: xetHash ?? null })}\n`,
        );
        const { file, left } = await openData(paths, header, size, options);
        opened.push(file);
        isEmpty = left.held.length + left.unchecked.length === 0;
        await requireSpace(dirname(stem), size - lengthOf(left.held) - lengthOf(left.unchecked));
        const { journal, end: journalEnd } = await writeJournal(paths, header, left);
        opened.push(journal);
        if (!(await lock.isOurs()) || !(await isStillAt(paths.data, file))) throw lost(paths.data);
        return new PartialFile({ paths, header, size, data: file, journal, journalEnd, lock, also }, publish, left);
      } catch (error) {
        await Promise.all(opened.map((handle) => handle.close()));
        if (isEmpty && (await lock.isOurs())) await rm(paths.data, { force: true });
        await also?.release();
        await lock.release();
        throw error;
      }
    });
  }

  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; ) {
      const bytes = new Uint8Array(Math.min(READ_BYTES, end - at));
      const { bytesRead } = await this.#parts.data.read(bytes, 0, bytes.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield bytes.subarray(0, bytesRead);
    }
  }

  async write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    const { data, paths } = this.#parts;
    await diskErrors(paths.data, () => writeAll(data, bytes, at));
    await this.note(at, bytes.length, chunks);
  }

  async destination(): Promise<FileDestination> {
    const { data, paths } = this.#parts;
    const { dev, ino } = await data.stat({ bigint: true });
    return { path: paths.data, device: String(dev), inode: String(ino) };
  }

  async note(at: number, length: number, chunks: ChunkRecords): Promise<void> {
    const { journal, paths } = this.#parts;
    await diskErrors(paths.data, async () => {
      this.#useful = true;
      const entry = encodeEntry(at, length, chunks);
      const position = this.#journalEnd;
      this.#journalEnd += entry.length;
      const noted = this.#noting.then(() => writeAll(journal, entry, position));
      // Whoever wrote before has been told of his failure; this one still has to try.
      this.#noting = noted.catch(() => undefined);
      await noted;
    });
  }

  async restart(): Promise<void> {
    const { data, journal, paths, header } = this.#parts;
    await this.#noting;
    await diskErrors(paths.data, async () => {
      await journal.truncate(entriesStart(header));
      await data.truncate(0);
    });
    this.held = [];
    this.unchecked = [];
    this.#useful = false;
    this.#journalEnd = entriesStart(header);
  }

  /** Throws a `CACHE` error that is retryable if the lock, or the file, is no longer this one's. */
  async publish(verified: Verified): Promise<string> {
    const { data, paths, size, lock } = this.#parts;
    return diskErrors(paths.data, async () => {
      await setLength(data, size);
      const look = await data.stat({ bigint: true });
      await this.#claim();
      await this.#closeFiles();
      try {
        const path = await this.#publish(paths.own, verified, look);
        if (await lock.isOurs()) await rm(paths.journal, { force: true });
        return path;
      } catch (error) {
        await this.#putBack();
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    const { paths, lock, also } = this.#parts;
    try {
      await this.#closeFiles();
      if (!this.#useful && (await lock.isOurs())) {
        await rm(paths.data, { force: true });
        await rm(paths.journal, { force: true });
      }
    } finally {
      await also?.release();
      await lock.release();
    }
  }

  /**
   * Gives the file a name that only this process knows. If another one takes the lock over from here on, what it puts
   * under the common name is not what is published.
   */
  async #claim(): Promise<void> {
    const { data, paths, lock } = this.#parts;
    if (!(await lock.isOurs()) || !(await isStillAt(paths.data, data))) throw lost(paths.data);
    await rename(paths.data, paths.own);
    if ((await isStillAt(paths.own, data)) && (await lock.isOurs())) return;
    await this.#putBack();
    throw lost(paths.data);
  }

  /** For another try, unless somebody has begun one. */
  async #putBack(): Promise<void> {
    const { paths } = this.#parts;
    const taken = await ifPresent(() => lstat(paths.data));
    if (taken) await rm(paths.own, { force: true });
    else await rename(paths.own, paths.data).catch(() => undefined);
  }

  async #closeFiles(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { data, journal, header } = this.#parts;
    await this.#noting;
    try {
      await data.close();
      if (this.#useful) await writeAll(journal, NOBODY, header.length).catch(() => undefined);
    } finally {
      await journal.close();
    }
  }
}

/** Bytes of an unfinished file that are on the disk. @param stem its path without its endings */
export const unfinishedBytes = (stem: string): Promise<number> => allocatedBytes(pathsOf(stem, '').data);

/** Retryable: whoever starts again finds what the other process has done. */
export function lost(path: string): XetError {
  return new XetError(
    'CACHE',
    `Another process took over the download (${path}), most likely while this one was suspended. Run the same again.`,
    { retryable: true },
  );
}

/**
 * Not without need: some file systems (ext4) write all of a file to the disk when one that was once cut to nothing is
 * closed, which takes longer than fetching it over a fast network.
 */
async function setLength(handle: DiskFile, bytes: number): Promise<void> {
  if ((await handle.stat()).size !== bytes) await handle.truncate(bytes);
}
