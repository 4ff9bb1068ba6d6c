import { totalLength } from '../../core/chunks.ts';
import { SerialQueue } from '../../core/serial-queue.ts';
import { isQuotaError, normalizeIdbAddError } from '../idb.ts';
import { coalesceRuns, missingRuns, type NewEntry, type XorbRun } from './batches.ts';
import {
  addEntries,
  beginRead,
  type Database,
  evict,
  keysOf,
  placeInFile,
  rangeOf,
  readUsage,
  type Step,
  storedBytes,
} from './chunk-database.ts';
import { isXorbRange, PUT_PAUSE_MS } from './chunk-runs.ts';
import type { ChunkRun } from './chunk-store.ts';
import type { OpfsChunkFiles } from './opfs-chunk-files.web.ts';

/**
 * A transaction costs about the same whatever its size, and browsers run one at a time, so waiting runs are added
 * together, up to this many bytes and this share of the limit.
 */
const MAX_GROUP_BYTES = 8 * 1024 * 1024;
const MAX_GROUP_SHARE = 1 / 8;
/** Limit for entries of coalesced runs: a short read has to load all of one from the database. */
const MAX_ENTRY_BYTES = 1024 * 1024;
/** Creating a file takes as long as writing this many bytes. */
const MIN_FILE_BYTES = 256 * 1024;

export interface WriterParts {
  database: Database;
  files: OpfsChunkFiles | undefined;
  maxBytes: number;
  /** Groups of fewer bytes are stored in the database itself. Default: 256 KiB. */
  minFileBytes: number | undefined;
  isOpen: () => boolean;
  /** Runs all of a step or nothing of it. */
  change: <T>(step: Step<T>) => Promise<T>;
  /** Writes down pending times of use, which eviction depends on. */
  writeNotes: () => void;
  /** Called with errors other than a lack of space. */
  fail: (error: unknown) => void;
}

/** Adds runs to the chunk store of a page: in order, and as many at once as are waiting. */
export class ChunkWriter {
  readonly #parts: WriterParts & { minFileBytes: number };
  #pausedUntil = 0;
  #writesFiles: boolean;
  /** Runs in order; each has queued a turn. */
  #waiting: XorbRun[] = [];
  readonly #turns = new SerialQueue();

  constructor(parts: WriterParts) {
    this.#parts = { ...parts, minFileBytes: parts.minFileBytes ?? MIN_FILE_BYTES };
    this.#writesFiles = parts.files?.canWrite ?? false;
  }

  async put(one: XorbRun): Promise<void> {
    this.#waiting.push(one);
    // Without turns, all puts that reach the quota at once would evict, each for itself.
    await this.#turns.run(() => this.#putNext());
  }

  /** Resolves when all puts so far are done. */
  idle(): Promise<void> {
    return this.#turns.idle();
  }

  /** Adds the next group. The run that queued this turn is in it, or was added in an earlier turn. */
  async #putNext(): Promise<void> {
    const group = this.#nextGroup();
    if (group.length === 0 || performance.now() < this.#pausedUntil) return;
    this.#parts.writeNotes();
    try {
      await this.#add(group);
    } catch (error) {
      if (!isQuotaError(error)) return this.#parts.fail(error);
      for (const one of group) await this.#addAlone(one, group.length > 1);
    }
  }

  #nextGroup(): XorbRun[] {
    const limit = Math.min(MAX_GROUP_BYTES, this.#parts.maxBytes * MAX_GROUP_SHARE);
    let bytes = 0;
    let count = 0;
    for (const { run } of this.#waiting) {
      bytes += storedBytes(run);
      if (count > 0 && bytes > limit) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #add(group: readonly XorbRun[]): Promise<void> {
    const entries = coalesceRuns(await this.#missing(group), MAX_ENTRY_BYTES);
    if (entries.length === 0) return;
    const file = await this.#writeFile(entries);
    const placed = file === undefined ? entries : placeInFile(file, entries);
    try {
      await this.#parts.change((update, removed) => addEntries(update, placed, this.#parts.maxBytes, removed));
    } catch (error) {
      if (file !== undefined) await this.#parts.files?.remove([file]);
      throw normalizeIdbAddError(error);
    }
  }

  /** Returns the parts of a group that are not stored yet, as far as they fit. */
  async #missing(group: readonly XorbRun[]): Promise<XorbRun[]> {
    const infos = beginRead(this.#parts.database).objectStore('info');
    const xorbs = [...new Set(group.map(({ xorb }) => xorb))];
    const keys = await Promise.all(xorbs.map((xorb) => infos.getAllKeys(keysOf(xorb))));
    const held = new Map(xorbs.map((xorb, index) => [xorb, (keys[index] ?? []).map(rangeOf).filter(isXorbRange)]));
    let room = this.#parts.maxBytes;
    const fits = (part: ChunkRun) => {
      const bytes = storedBytes(part);
      if (bytes > room) return false;
      room -= bytes;
      return true;
    };
    return missingRuns(group, held, fits);
  }

  /** Writes the bytes of entries to a new file and returns its name, or undefined if the database suits them better. */
  async #writeFile(entries: readonly NewEntry[]): Promise<string | undefined> {
    const bytes = entries.reduce((sum, { records }) => sum + totalLength(records), 0);
    if (!this.#parts.files || !this.#writesFiles || bytes < this.#parts.minFileBytes) return undefined;
    try {
      return await this.#parts.files.write(entries.flatMap(({ pieces }) => pieces));
    } catch (error) {
      if (isQuotaError(error)) throw error;
      // The folder was removed, or the browser refuses: the database works without files.
      this.#writesFiles = false;
      return undefined;
    }
  }

  /** Adds one run of a group that could not be added together, perhaps for lack of space. */
  async #addAlone(one: XorbRun, mayFit: boolean): Promise<void> {
    if (performance.now() < this.#pausedUntil || !this.#parts.isOpen()) return;
    try {
      if (mayFit) return await this.#add([one]);
    } catch (error) {
      if (!isQuotaError(error)) return this.#parts.fail(error);
    }
    await this.#addAfterEviction(one);
  }

  /** Adds a run although the browser has less space than it said: the least recently used half is evicted. */
  async #addAfterEviction(one: XorbRun): Promise<void> {
    try {
      await this.#parts.change(async (update, removed) =>
        evict(update, (await readUsage(update)).bytes / 2, 'forget', removed),
      );
      await this.#add([one]);
    } catch (error) {
      if (!isQuotaError(error)) return this.#parts.fail(error);
      // Removed bytes may count for a while yet, or others use up the quota. Existing entries can still be read.
      this.#pausedUntil = performance.now() + PUT_PAUSE_MS;
    }
  }
}
