import { type ChunkRecords, joinBytes, totalLength } from '../chunks.ts';
import { XetError } from '../errors.ts';
import type { ChunkRange } from '../ranges.ts';
import {
  addRows,
  type Database,
  dropEntry,
  type EntryInfo,
  evict,
  filesOf,
  type Gone,
  type Key,
  keysOf,
  lookInto,
  noteUses,
  openDatabase,
  removeAll,
  transact,
  type Update,
  unusable,
  usageOf,
} from './chunk-database.ts';
import { ENTRY_VERSION } from './chunk-entry.ts';
import { inRows, lacking, placedIn, type Row, rowFrom, storedBytes, type XorbRun } from './chunk-rows.ts';
import {
  assertRun,
  assertXorb,
  type ChunkStoreOptions,
  checkRun,
  entriesWith,
  type HashChunk,
  isXorbRange,
  PUT_PAUSE_MS,
  rangesWithin,
  recordsInRow,
  USE_STEP_MS,
} from './chunk-runs.ts';
import type { ChunkRun, ChunkStore, ChunkStoreUsage } from './chunk-store.ts';
import { EntryFiles } from './entry-files.web.ts';
import { type EntryPart, partOf, recordsFor, type StoredEntry } from './entry-parts.ts';
import { isOutOfRoom, meaningOfAdding } from './out-of-room.ts';
import { Turns } from './turns.ts';

export interface IndexedDbChunkStoreOptions extends ChunkStoreOptions {
  /** Called once if the database is lost for good while it is in use. From then on the store is empty. */
  onLost?: ((reason: string) => void) | undefined;
  /** What is shorter than so many bytes goes into the database itself. */
  fileBytes?: number | undefined;
}

/**
 * Most of what a transaction takes is the same however much is in it, and a browser does one after the other: what waits for
 * its turn goes together, up to so many bytes, and so large a part of the limit.
 */
const GROUP_BYTES = 8 * 1024 * 1024;
const GROUP_SHARE = 1 / 8;

/** A file takes as long to make as this many bytes to write. */
const FILE_BYTES = 256 * 1024;

/** How long a use of an entry may wait before it is written down. */
const NOTE_AFTER_MS = 1000;

/** Pages of a site share their quota with all else it stores. */
const QUOTA_SHARE = 0.5;

/**
 * A chunk store in a database, for any number of pages and workers at once; a dedicated worker writes the bytes into files
 * of the page's own storage, where there is one. Rejects with `CACHE` where there is no working IndexedDB, as in some
 * private windows. `maxBytes` is capped at half of what the browser grants the site.
 */
export async function openIndexedDbChunkStore(name: string, options: IndexedDbChunkStoreOptions): Promise<ChunkStore> {
  let store: IndexedDbChunkStore | undefined;
  let lost: string | undefined;
  const onLost = (reason: string) => {
    lost ??= reason;
    store?.lose(reason);
  };
  const database = await openDatabase(`${name}-chunks-v${ENTRY_VERSION}`, onLost);
  const [granted, files] = await Promise.all([grantedBytes(), EntryFiles.open(`${name}-v${ENTRY_VERSION}`)]);
  store = new IndexedDbChunkStore(database, files, { ...options, maxBytes: Math.min(options.maxBytes, granted) });
  if (lost !== undefined) store.lose(lost);
  return store;
}

class IndexedDbChunkStore implements ChunkStore {
  readonly #database: Database;
  readonly #files: EntryFiles | undefined;
  #writesFiles: boolean;
  readonly #maxBytes: number;
  readonly #hash: HashChunk;
  readonly #onLost: ((reason: string) => void) | undefined;
  readonly #fileBytes: number;
  #pausedUntil = 0;
  /** To be put, in order; each of them has asked for a turn. */
  #waiting: XorbRun[] = [];
  readonly #turns = new Turns();
  /** Entries whose use is to be written down. */
  readonly #used = new Map<string, Key>();
  #noteTimer: ReturnType<typeof setTimeout> | undefined;
  /** What nobody waits for but the end. */
  readonly #beside = new Set<Promise<void>>();
  #state: 'open' | 'lost' | 'closed' = 'open';

  constructor(
    database: Database,
    files: EntryFiles | undefined,
    { maxBytes, hash, onLost, fileBytes = FILE_BYTES }: IndexedDbChunkStoreOptions,
  ) {
    this.#database = database;
    this.#files = files;
    this.#writesFiles = files?.canWrite ?? false;
    this.#maxBytes = maxBytes;
    this.#hash = hash;
    this.#onLost = onLost;
    this.#fileBytes = fileBytes;
    if (files?.canWrite) this.#run(this.#tidy(files));
  }

  async find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]> {
    return rangesWithin(await this.#entriesOf(xorb), chunks);
  }

  async records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords> {
    return recordsInRow(await this.#entriesOf(xorb), chunks, async ({ start, end }) => {
      const key: Key = [xorb, start, end];
      const info = await this.#info(key);
      return info && recordsFor(key, info);
    });
  }

  async read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (chunks.start >= chunks.end) return undefined;
    const entries = await this.#entriesOf(xorb);
    for (const first of entriesWith(entries, chunks.start)) {
      const keys = rowFrom(first, entries, chunks).map(({ start, end }): Key => [xorb, start, end]);
      const loaded = await this.#loadRow(keys, chunks);
      // The transaction is over by now: it would not wait for a hash.
      const { good, damaged } = loaded ? await checkRun(loaded, this.#hash) : { good: undefined, damaged: true };
      if (damaged) {
        const wrong = good?.chunks.end ?? chunks.start;
        const key = keys.find(([, start, end]) => start <= wrong && wrong < end);
        if (key) await this.#attempt((update, gone) => dropEntry(update, key, gone));
      }
      if (good) return good;
    }
    return undefined;
  }

  async put(xorb: string, run: ChunkRun): Promise<void> {
    assertRun(xorb, run);
    if (this.#state !== 'open') return;
    this.#waiting.push({ xorb, run });
    // Else all puts that meet the quota at once would make room, each for itself.
    await this.#turns.take(() => this.#putGroup());
  }

  async drop(xorb: string): Promise<void> {
    assertXorb(xorb);
    await this.#attempt(async (update, gone) => {
      for (const key of await update.objectStore('info').getAllKeys(keysOf(xorb))) await dropEntry(update, key, gone);
    });
  }

  async usage(): Promise<ChunkStoreUsage> {
    return this.#change((update) => usageOf(update));
  }

  async prune(maxBytes: number): Promise<number> {
    this.#writeNotes();
    return this.#change((update, gone) => evict(update, maxBytes, 'forget', gone));
  }

  async clear(): Promise<void> {
    await this.#change((update, gone) => removeAll(update, gone));
  }

  async close(): Promise<void> {
    const wasOpen = this.#state === 'open';
    this.#writeNotes();
    this.#state = 'closed';
    await this.#turns.over();
    await Promise.all(this.#beside);
    await this.#files?.close();
    if (wasOpen) this.#database.close();
  }

  /** Gives the database up. Closing it also lets those go on who want to delete it. */
  lose(reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'lost';
    this.#database.close();
    this.#run(this.#files?.close());
    this.#onLost?.(reason);
  }

  async #entriesOf(xorb: string): Promise<ChunkRange[]> {
    assertXorb(xorb);
    if (this.#state !== 'open') return [];
    try {
      const keys = await lookInto(this.#database).objectStore('info').getAllKeys(keysOf(xorb));
      return keys.map(rangeOf).filter(isXorbRange);
    } catch (error) {
      this.#fail(error);
      return [];
    }
  }

  /** Chunks of entries in a row, not hashed yet, up to the first that is not what its key says or cannot be read. */
  async #loadRow(keys: readonly Key[], chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (this.#state !== 'open') return undefined;
    const parts: EntryPart[] = [];
    for (const entry of await this.#get(keys)) {
      const part = partOf(entry, chunks);
      if (!part) break;
      parts.push(part);
      if (Math.abs(Date.now() - part.usedMs) >= USE_STEP_MS) this.#noteUse(entry.key);
    }
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let end = 0;
    const filled: EntryPart[] = [];
    for (const part of parts) {
      const into = bytes.subarray(end, end + part.length);
      if ('bytes' in part) into.set(part.bytes);
      else if (!(await this.#files?.read(part.file, part.at, into))) break;
      filled.push(part);
      end += part.length;
    }
    const [first] = filled;
    const last = filled.at(-1);
    if (!first || !last) return undefined;
    return {
      chunks: { start: first.chunks.start, end: last.chunks.end },
      records: joinBytes(filled.map(({ records }) => records)),
      bytes: bytes.subarray(0, end),
    };
  }

  async #info(key: Key): Promise<EntryInfo | undefined> {
    if (this.#state !== 'open') return undefined;
    try {
      return await lookInto(this.#database).objectStore('info').get(key);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** Entries as they are stored, up to the first that cannot be read. */
  async #get(keys: readonly Key[]): Promise<StoredEntry[]> {
    try {
      const look = lookInto(this.#database);
      return await Promise.all(
        keys.map(async (key) => {
          const [info, data] = await Promise.all([
            look.objectStore('info').get(key),
            look.objectStore('data').get(key),
          ]);
          return { key, info, data };
        }),
      );
    } catch {
      // Browsers keep large values in files of their own, and one may be missing while the rest works: all requests of the
      // transaction fail then. The entry is dropped; if that fails as well, the database is given up.
      return keys.length > 1 ? this.#get(keys.slice(0, 1)) : [];
    }
  }

  /** Writes down that an entry was used, some time soon: each transaction that writes would make reads wait. */
  #noteUse(key: Key): void {
    this.#used.set(key.join(), key);
    this.#noteTimer ??= setTimeout(() => this.#writeNotes(), NOTE_AFTER_MS);
  }

  #writeNotes(): void {
    clearTimeout(this.#noteTimer);
    this.#noteTimer = undefined;
    const keys = [...this.#used.values()];
    this.#used.clear();
    if (keys.length > 0) this.#run(this.#attempt((update) => noteUses(update, keys)));
  }

  #run(work: Promise<void> = Promise.resolve()): void {
    const done = work.finally(() => this.#beside.delete(done));
    this.#beside.add(done);
  }

  /** Removes files that nothing leads to. */
  async #tidy(files: EntryFiles): Promise<void> {
    await this.#attempt(async (update) => {
      const known = await filesOf(update);
      this.#run(files.removeUnknown(known));
    });
  }

  /** Puts what waits, as much of it as goes together. Who asked for this turn is among it, or was put in an earlier one. */
  async #putGroup(): Promise<void> {
    const group = this.#nextGroup();
    if (group.length === 0 || performance.now() < this.#pausedUntil) return;
    // What makes way for it goes by these.
    this.#writeNotes();
    try {
      await this.#add(group);
    } catch (error) {
      if (!isOutOfRoom(error)) return this.#fail(error);
      for (const one of group) await this.#addAlone(one, group.length > 1);
    }
  }

  #nextGroup(): XorbRun[] {
    const most = Math.min(GROUP_BYTES, this.#maxBytes * GROUP_SHARE);
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
    const rows = inRows(await this.#missing(group));
    if (rows.length === 0) return;
    const file = await this.#writeFile(rows);
    const placed = file === undefined ? rows : placedIn(file, rows);
    try {
      await this.#transact((update, gone) => addRows(update, placed, this.#maxBytes, gone));
    } catch (error) {
      if (file !== undefined) await this.#files?.remove([file]);
      throw meaningOfAdding(error);
    }
  }

  /** What of a group is not here yet, as far as it fits. */
  async #missing(group: readonly XorbRun[]): Promise<XorbRun[]> {
    const look = lookInto(this.#database).objectStore('info');
    const xorbs = [...new Set(group.map(({ xorb }) => xorb))];
    const keys = await Promise.all(xorbs.map((xorb) => look.getAllKeys(keysOf(xorb))));
    const held = new Map(xorbs.map((xorb, index) => [xorb, (keys[index] ?? []).map(rangeOf).filter(isXorbRange)]));
    return lacking(group, held, this.#maxBytes);
  }

  /** The name of a file with the bytes of all rows, where that is better than to have them in the database. */
  async #writeFile(rows: readonly Row[]): Promise<string | undefined> {
    const bytes = rows.reduce((sum, { records }) => sum + totalLength(records), 0);
    if (!this.#files || !this.#writesFiles || bytes < this.#fileBytes) return undefined;
    try {
      return await this.#files.write(rows.flatMap(({ pieces }) => pieces));
    } catch (error) {
      if (isOutOfRoom(error)) throw error;
      // Somebody removed the folder, or the browser refuses: the database can do without.
      this.#writesFiles = false;
      return undefined;
    }
  }

  /** One of a group that did not go together, perhaps for want of room. */
  async #addAlone(one: XorbRun, mayFit: boolean): Promise<void> {
    if (performance.now() < this.#pausedUntil || this.#state !== 'open') return;
    try {
      if (mayFit) return await this.#add([one]);
    } catch (error) {
      if (!isOutOfRoom(error)) return this.#fail(error);
    }
    await this.#addToLess(one);
  }

  /** The browser has less room than it said: what was not used for the longest time makes way, about half of all. */
  async #addToLess(one: XorbRun): Promise<void> {
    try {
      await this.#transact(async (update, gone) => evict(update, (await usageOf(update)).bytes / 2, 'forget', gone));
      await this.#add([one]);
    } catch (error) {
      if (!isOutOfRoom(error)) return this.#fail(error);
      // What was removed may count for a while yet, or others use up the quota: what is here can still be read.
      this.#pausedUntil = performance.now() + PUT_PAUSE_MS;
    }
  }

  /** A change that the caller is told about if it fails. */
  async #change<T>(step: Step<T>): Promise<T> {
    if (this.#state === 'closed') throw new XetError('CLOSED', 'The chunk cache was closed.');
    try {
      return await this.#transact(step);
    } catch (cause) {
      throw unusable(cause);
    }
  }

  /** A change that may fail: all it does is keep the cache in order. */
  async #attempt(step: Step<unknown>): Promise<void> {
    if (this.#state !== 'open') return;
    await this.#transact(step).catch((error: unknown) => {
      if (!isOutOfRoom(error)) this.#fail(error);
    });
  }

  /** All of a step or nothing of it, and then the files that it leaves without a use. */
  async #transact<T>(step: Step<T>): Promise<T> {
    const gone: Gone = new Set();
    const result = await transact(this.#database, (update) => step(update, gone));
    if (gone.size > 0) await this.#files?.remove(gone);
    return result;
  }

  /** An error that is not about room: whatever it is, the database is no longer one that can be relied on. */
  #fail(error: unknown): void {
    this.lose(error instanceof Error ? error.message : String(error));
  }
}

type Step<T> = (update: Update, gone: Gone) => Promise<T>;

function rangeOf([, start, end]: Key): ChunkRange {
  return { start, end };
}

/** Half of the quota, or no limit where the browser does not tell. */
async function grantedBytes(): Promise<number> {
  try {
    const { quota } = await navigator.storage.estimate();
    return quota === undefined ? Number.POSITIVE_INFINITY : quota * QUOTA_SHARE;
  } catch {
    // Not there, or refused: then the quota shows itself by an error.
    return Number.POSITIVE_INFINITY;
  }
}
