import { type ChunkRecords, joinBytes } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { isQuotaError } from '../idb.ts';
import {
  beginRead,
  blobFiles,
  changeEntries,
  type Database,
  dropEntry,
  type EntryInfo,
  evict,
  type Key,
  keysOf,
  noteUses,
  openDatabase,
  type RemovedFiles,
  rangeOf,
  readUsage,
  removeAll,
  type Step,
  unusable,
} from './chunk-database.ts';
import {
  assertRun,
  assertXorb,
  type ChunkStoreOptions,
  checkRun,
  contiguousRecords,
  entriesWith,
  type HashChunk,
  isXorbRange,
  rangesWithin,
  USE_STEP_MS,
} from './chunk-runs.ts';
import type { ChunkRun, ChunkStore, ChunkStoreUsage } from './chunk-store.ts';
import { ENTRY_VERSION } from './entry-format.ts';
import { OpfsChunkFiles } from './opfs-chunk-files.web.ts';
import { adjacentEntries, type EntrySlice, recordsOfInfo, type StoredEntry, sliceEntry } from './stored-entry.ts';
import { ChunkWriter } from './writer.ts';

export interface IndexedDbChunkStoreOptions extends ChunkStoreOptions {
  /** Called once if the database is lost for good while it is in use. The store is empty from then on. */
  onLost?: ((reason: string) => void) | undefined;
  /** Groups of runs with fewer bytes are stored in the database itself. Default: 256 KiB. */
  minFileBytes?: number | undefined;
}

/** Delay before the use of an entry is written down. */
const NOTE_DELAY_MS = 1000;

/** The pages of a site share their quota with everything else it stores. */
const QUOTA_SHARE = 0.5;

/**
 * Opens a chunk store in a database, for any number of pages and workers at once. A dedicated worker writes bytes to
 * files of the page's own storage if there is one. Rejects with `CACHE` where there is no working IndexedDB, as in some
 * private windows. `maxBytes` is capped at half of the site's quota.
 */
export async function openIndexedDbChunkStore(name: string, options: IndexedDbChunkStoreOptions): Promise<ChunkStore> {
  let store: IndexedDbChunkStore | undefined;
  let lost: string | undefined;
  const onLost = (reason: string) => {
    lost ??= reason;
    store?.lose(reason);
  };
  const database = await openDatabase(`${name}-chunks-v${ENTRY_VERSION}`, onLost);
  const [quota, files] = await Promise.all([quotaBytes(), OpfsChunkFiles.open(`${name}-v${ENTRY_VERSION}`)]);
  store = new IndexedDbChunkStore(database, files, { ...options, maxBytes: Math.min(options.maxBytes, quota) });
  if (lost !== undefined) store.lose(lost);
  return store;
}

class IndexedDbChunkStore implements ChunkStore {
  readonly #database: Database;
  readonly #files: OpfsChunkFiles | undefined;
  readonly #hash: HashChunk;
  readonly #onLost: ((reason: string) => void) | undefined;
  readonly #writer: ChunkWriter;
  /** Entries whose use is to be written down. */
  readonly #used = new Map<string, Key>();
  #noteTimer: ReturnType<typeof setTimeout> | undefined;
  /** Work that only `close` waits for. */
  readonly #background = new Set<Promise<void>>();
  #state: 'open' | 'lost' | 'closed' = 'open';

  constructor(
    database: Database,
    files: OpfsChunkFiles | undefined,
    { maxBytes, hash, onLost, minFileBytes }: IndexedDbChunkStoreOptions,
  ) {
    this.#database = database;
    this.#files = files;
    this.#hash = hash;
    this.#onLost = onLost;
    this.#writer = new ChunkWriter({
      database,
      files,
      maxBytes,
      minFileBytes,
      isOpen: () => this.#state === 'open',
      change: (step) => this.#transact(step),
      writeNotes: () => this.#writeNotes(),
      fail: (error) => this.#fail(error),
    });
    if (files?.canWrite) this.#run(this.#removeOrphans(files));
  }

  async find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]> {
    return rangesWithin(await this.#entriesOf(xorb), chunks);
  }

  async records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords> {
    return contiguousRecords(await this.#entriesOf(xorb), chunks, async ({ start, end }) => {
      const key: Key = [xorb, start, end];
      const info = await this.#info(key);
      return info && recordsOfInfo(key, info);
    });
  }

  async read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (chunks.start >= chunks.end) return undefined;
    const entries = await this.#entriesOf(xorb);
    for (const first of entriesWith(entries, chunks.start)) {
      const keys = adjacentEntries(first, entries, chunks).map(({ start, end }): Key => [xorb, start, end]);
      const loaded = await this.#load(keys, chunks);
      // The transaction is over by now: it would not wait for a hash.
      const { good, damaged } = loaded ? await checkRun(loaded, this.#hash) : { good: undefined, damaged: true };
      if (damaged) {
        const wrong = good?.chunks.end ?? chunks.start;
        const key = keys.find(([, start, end]) => start <= wrong && wrong < end);
        if (key) await this.#attempt((update, removed) => dropEntry(update, key, removed));
      }
      if (good) return good;
    }
    return undefined;
  }

  async put(xorb: string, run: ChunkRun): Promise<undefined> {
    assertRun(xorb, run);
    if (this.#state !== 'open') return;
    await this.#writer.put({ xorb, run });
  }

  async drop(xorb: string): Promise<void> {
    assertXorb(xorb);
    await this.#attempt(async (update, removed) => {
      const keys = await update.objectStore('info').getAllKeys(keysOf(xorb));
      for (const key of keys) await dropEntry(update, key, removed);
    });
  }

  async usage(): Promise<ChunkStoreUsage> {
    return this.#change((update) => readUsage(update));
  }

  async prune(maxBytes: number): Promise<number> {
    this.#writeNotes();
    return this.#change((update, removed) => evict(update, maxBytes, 'forget', removed));
  }

  async clear(): Promise<void> {
    await this.#change((update, removed) => removeAll(update, removed));
  }

  async close(): Promise<void> {
    const wasOpen = this.#state === 'open';
    this.#writeNotes();
    this.#state = 'closed';
    await this.#writer.idle();
    await Promise.all(this.#background);
    await this.#files?.close();
    if (wasOpen) this.#database.close();
  }

  /** Gives the database up. Closing it unblocks whoever wants to delete it. */
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
      const keys = await beginRead(this.#database).objectStore('info').getAllKeys(keysOf(xorb));
      return keys.map(rangeOf).filter(isXorbRange);
    } catch (error) {
      this.#fail(error);
      return [];
    }
  }

  /** Loads chunks of adjacent entries, not hashed yet, up to the first entry that is invalid or unreadable. */
  async #load(keys: readonly Key[], chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (this.#state !== 'open') return undefined;
    const slices: EntrySlice[] = [];
    for (const entry of await this.#get(keys)) {
      const slice = sliceEntry(entry, chunks);
      if (!slice) break;
      slices.push(slice);
      if (Math.abs(Date.now() - slice.usedMs) >= USE_STEP_MS) this.#noteUse(entry.key);
    }
    const bytes = new Uint8Array(slices.reduce((sum, { length }) => sum + length, 0));
    let end = 0;
    const filled: EntrySlice[] = [];
    for (const slice of slices) {
      const into = bytes.subarray(end, end + slice.length);
      if ('bytes' in slice) into.set(slice.bytes);
      else if (!(await this.#files?.read(slice.file, slice.at, into))) break;
      filled.push(slice);
      end += slice.length;
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
      return await beginRead(this.#database).objectStore('info').get(key);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** Returns entries as they are stored, up to the first that cannot be read. */
  async #get(keys: readonly Key[]): Promise<StoredEntry[]> {
    try {
      const transaction = beginRead(this.#database);
      const [infos, datas] = [transaction.objectStore('info'), transaction.objectStore('data')];
      return await Promise.all(
        keys.map(async (key) => {
          const [info, data] = await Promise.all([infos.get(key), datas.get(key)]);
          return { key, info, data };
        }),
      );
    } catch {
      // Browsers keep large values in files, and if one is missing all requests of the transaction fail although the
      // rest of the database works. The entry is dropped; if that fails as well, the database is given up.
      return keys.length > 1 ? this.#get(keys.slice(0, 1)) : [];
    }
  }

  /** Writes the use of an entry down later: each transaction that writes delays reads. */
  #noteUse(key: Key): void {
    this.#used.set(key.join(), key);
    this.#noteTimer ??= setTimeout(() => this.#writeNotes(), NOTE_DELAY_MS);
  }

  #writeNotes(): void {
    clearTimeout(this.#noteTimer);
    this.#noteTimer = undefined;
    const keys = [...this.#used.values()];
    this.#used.clear();
    if (keys.length > 0) this.#run(this.#attempt((update) => noteUses(update, keys)));
  }

  #run(work: Promise<void> = Promise.resolve()): void {
    const done = work.finally(() => this.#background.delete(done));
    this.#background.add(done);
  }

  /** Removes files that no entry refers to. */
  async #removeOrphans(files: OpfsChunkFiles): Promise<void> {
    await this.#attempt(async (update) => {
      const known = await blobFiles(update);
      this.#run(files.removeUnknown(known));
    });
  }

  /** Runs a step whose failure the caller sees. */
  async #change<T>(step: Step<T>): Promise<T> {
    if (this.#state === 'closed') throw new XetError('CLOSED', 'The chunk cache was closed.');
    try {
      return await this.#transact(step);
    } catch (cause) {
      throw unusable(cause);
    }
  }

  /** Runs a step that only keeps the cache in order: lack of space does not matter, other failures end the store. */
  async #attempt(step: Step<unknown>): Promise<void> {
    if (this.#state !== 'open') return;
    await this.#transact(step).catch((error: unknown) => {
      if (!isQuotaError(error)) this.#fail(error);
    });
  }

  /** Runs all of a step or nothing of it, and then deletes files whose entries it removed. */
  async #transact<T>(step: Step<T>): Promise<T> {
    const removed: RemovedFiles = new Set();
    const result = await changeEntries(this.#database, (update) => step(update, removed));
    if (removed.size > 0) await this.#files?.remove(removed);
    return result;
  }

  /** Gives the database up after an error other than lack of space: it can no longer be relied on. */
  #fail(error: unknown): void {
    this.lose(error instanceof Error ? error.message : String(error));
  }
}

/** Returns half of the quota, or no limit where the browser does not reveal it. */
async function quotaBytes(): Promise<number> {
  try {
    const { quota } = await navigator.storage.estimate();
    return quota === undefined ? Number.POSITIVE_INFINITY : quota * QUOTA_SHARE;
  } catch {
    // Missing or refused. Then the quota shows by an error.
    return Number.POSITIVE_INFINITY;
  }
}
