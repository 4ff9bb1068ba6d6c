import { totalLength } from '../../core/chunks.ts';
import { SerialQueue } from '../../core/serial-queue.ts';
import { isQuotaError, normalizeIdbAddError } from '../idb.ts';
import { coalesceRuns, missingRuns, type NewEntry, placeInFile, storedBytes, type XorbRun } from './batches.ts';
import {
  addEntries,
  beginRead,
  type Database,
  evict,
  keysOf,
  rangeOf,
  readUsage,
  type Step,
} from './chunk-database.ts';
import { isXorbRange, PUT_PAUSE_MS } from './chunk-runs.ts';
import type { OpfsChunkFiles } from './opfs-chunk-files.web.ts';

/**
 * Most of what a transaction takes is the same however much is in it, and a browser does one after the other: what waits for
 * its turn goes together, up to so many bytes, and so large a part of the limit.
 */
const MAX_GROUP_BYTES = 8 * 1024 * 1024;
const MAX_GROUP_SHARE = 1 / 8;

/** A file takes as long to make as this many bytes to write. */
const MIN_FILE_BYTES = 256 * 1024;

export interface WriterParts {
  database: Database;
  files: OpfsChunkFiles | undefined;
  maxBytes: number;
  /** What is shorter than so many bytes goes into the database itself. */
  fileBytes: number | undefined;
  isOpen: () => boolean;
  /** All of a step or nothing of it. */
  change: <T>(step: Step<T>) => Promise<T>;
  /** Writes down what was used: what makes way goes by that. */
  writeNotes: () => void;
  /** Told of errors that are not about room. */
  fail: (error: unknown) => void;
}

/** What is put into a store of a page, in order, and as much of it at once as waits. */
export class ChunkWriter {
  readonly #parts: WriterParts & { fileBytes: number };
  #pausedUntil = 0;
  #writesFiles: boolean;
  /** To be put, in order; each of them has asked for a turn. */
  #waiting: XorbRun[] = [];
  readonly #turns = new SerialQueue();

  constructor(parts: WriterParts) {
    this.#parts = { ...parts, fileBytes: parts.fileBytes ?? MIN_FILE_BYTES };
    this.#writesFiles = parts.files?.canWrite ?? false;
  }

  async put(one: XorbRun): Promise<void> {
    this.#waiting.push(one);
    // Else all puts that meet the quota at once would make room, each for itself.
    await this.#turns.run(() => this.#putNext());
  }

  /** Resolves when all puts so far are over. */
  over(): Promise<void> {
    return this.#turns.idle();
  }

  /** Puts what waits, as much of it as goes together. Who asked for this turn is among it, or was put in an earlier one. */
  async #putNext(): Promise<void> {
    const group = this.#nextGroup();
    if (group.length === 0 || performance.now() < this.#pausedUntil) return;
    // What makes way for it goes by these.
    this.#parts.writeNotes();
    try {
      await this.#add(group);
    } catch (error) {
      if (!isQuotaError(error)) return this.#parts.fail(error);
      for (const one of group) await this.#addAlone(one, group.length > 1);
    }
  }

  #nextGroup(): XorbRun[] {
    const most = Math.min(MAX_GROUP_BYTES, this.#parts.maxBytes * MAX_GROUP_SHARE);
    let bytes = 0;
    let count = 0;
    for (const { run } of this.#waiting) {
      bytes += storedBytes(run);
      if (count > 0 && bytes > most) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #add(group: readonly XorbRun[]): Promise<void> {
    const rows = coalesceRuns(await this.#missing(group));
    if (rows.length === 0) return;
    const file = await this.#writeFile(rows);
    const placed = file === undefined ? rows : placeInFile(file, rows);
    try {
      await this.#parts.change((update, gone) => addEntries(update, placed, this.#parts.maxBytes, gone));
    } catch (error) {
      if (file !== undefined) await this.#parts.files?.remove([file]);
      throw normalizeIdbAddError(error);
    }
  }

  /** What of a group is not here yet, as far as it fits. */
  async #missing(group: readonly XorbRun[]): Promise<XorbRun[]> {
    const look = beginRead(this.#parts.database).objectStore('info');
    const xorbs = [...new Set(group.map(({ xorb }) => xorb))];
    const keys = await Promise.all(xorbs.map((xorb) => look.getAllKeys(keysOf(xorb))));
    const held = new Map(xorbs.map((xorb, index) => [xorb, (keys[index] ?? []).map(rangeOf).filter(isXorbRange)]));
    return missingRuns(group, held, this.#parts.maxBytes);
  }

  /** The name of a file with the bytes of all rows, where that is better than to have them in the database. */
  async #writeFile(rows: readonly NewEntry[]): Promise<string | undefined> {
    const bytes = rows.reduce((sum, { records }) => sum + totalLength(records), 0);
    if (!this.#parts.files || !this.#writesFiles || bytes < this.#parts.fileBytes) return undefined;
    try {
      return await this.#parts.files.write(rows.flatMap(({ pieces }) => pieces));
    } catch (error) {
      if (isQuotaError(error)) throw error;
      // Somebody removed the folder, or the browser refuses: the database can do without.
      this.#writesFiles = false;
      return undefined;
    }
  }

  /** One of a group that did not go together, perhaps for want of room. */
  async #addAlone(one: XorbRun, mayFit: boolean): Promise<void> {
    if (performance.now() < this.#pausedUntil || !this.#parts.isOpen()) return;
    try {
      if (mayFit) return await this.#add([one]);
    } catch (error) {
      if (!isQuotaError(error)) return this.#parts.fail(error);
    }
    await this.#addToLess(one);
  }

  /** The browser has less room than it said: what was not used for the longest time makes way, about half of all. */
  async #addToLess(one: XorbRun): Promise<void> {
    try {
      await this.#parts.change(async (update, gone) =>
        evict(update, (await readUsage(update)).bytes / 2, 'forget', gone),
      );
      await this.#add([one]);
    } catch (error) {
      if (!isQuotaError(error)) return this.#parts.fail(error);
      // What was removed may count for a while yet, or others use up the quota: what is here can still be read.
      this.#pausedUntil = performance.now() + PUT_PAUSE_MS;
    }
  }
}
