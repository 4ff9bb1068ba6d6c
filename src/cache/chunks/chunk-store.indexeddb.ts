import { type ChunkRecords, joinBytes } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { isQuotaError } from '../idb.ts';
import { adjacentEntries } from './batches.ts';
import {
  beginRead,
  blobFiles,
  type Database,
  dropEntry,
  type EntryInfo,
  evict,
  type Gone,
  type Key,
  keysOf,
  noteUses,
  openDatabase,
  rangeOf,
  readUsage,
  removeAll,
  type Step,
  transact,
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
import { type EntryPart, partOf, recordsFor, type StoredEntry } from './entry-slice.ts';
import { OpfsChunkFiles } from './opfs-chunk-files.web.ts';
import { ChunkWriter } from './writer.ts';

export interface IndexedDbChunkStoreOptions extends ChunkStoreOptions {
  /** Called once if the database is lost for good while it is in use. From then on the store is empty. */
  onLost?: ((reason: string) => void) | undefined;
  /** What is shorter than so many bytes goes into the database itself. */
  fileBytes?: number | undefined;
}

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
  const [granted, files] = await Promise.all([grantedBytes(), OpfsChunkFiles.open(`${name}-v${ENTRY_VERSION}`)]);
  store = new IndexedDbChunkStore(database, files, { ...options, maxBytes: Math.min(options.maxBytes, granted) });
  if (lost !== undefined) store.lose(lost);
  return store;
}

class IndexedDbChunkStore implements ChunkStore {
  readonly #database: Database;
  readonly #files: OpfsChunkFiles | undefined;
  readonly #hash: HashChunk;
  readonly #onLost: ((reason: string) => void) | undefined;
  readonly #puts: ChunkWriter;
  /** Entries whose use is to be written down. */
  readonly #used = new Map<string, Key>();
  #noteTimer: ReturnType<typeof setTimeout> | undefined;
  /** What nobody waits for but the end. */
  readonly #beside = new Set<Promise<void>>();
  #state: 'open' | 'lost' | 'closed' = 'open';

  constructor(
    database: Database,
    files: OpfsChunkFiles | undefined,
    { maxBytes, hash, onLost, fileBytes }: IndexedDbChunkStoreOptions,
  ) {
    this.#database = database;
    this.#files = files;
    this.#hash = hash;
    this.#onLost = onLost;
    this.#puts = new ChunkWriter({
      database,
      files,
      maxBytes,
      fileBytes,
      isOpen: () => this.#state === 'open',
      change: (step) => this.#transact(step),
      writeNotes: () => this.#writeNotes(),
      fail: (error) => this.#fail(error),
    });
    if (files?.canWrite) this.#run(this.#tidy(files));
  }

  async find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]> {
    return rangesWithin(await this.#entriesOf(xorb), chunks);
  }

  async records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords> {
    return contiguousRecords(await this.#entriesOf(xorb), chunks, async ({ start, end }) => {
      const key: Key = [xorb, start, end];
      const info = await this.#info(key);
      return info && recordsFor(key, info);
    });
  }

  async read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (chunks.start >= chunks.end) return undefined;
    const entries = await this.#entriesOf(xorb);
    for (const first of entriesWith(entries, chunks.start)) {
      const keys = adjacentEntries(first, entries, chunks).map(({ start, end }): Key => [xorb, start, end]);
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

  async put(xorb: string, run: ChunkRun): Promise<undefined> {
    assertRun(xorb, run);
    if (this.#state !== 'open') return;
    await this.#puts.put({ xorb, run });
  }

  async drop(xorb: string): Promise<void> {
    assertXorb(xorb);
    await this.#attempt(async (update, gone) => {
      for (const key of await update.objectStore('info').getAllKeys(keysOf(xorb))) await dropEntry(update, key, gone);
    });
  }

  async usage(): Promise<ChunkStoreUsage> {
    return this.#change((update) => readUsage(update));
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
    await this.#puts.over();
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
      const keys = await beginRead(this.#database).objectStore('info').getAllKeys(keysOf(xorb));
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
      return await beginRead(this.#database).objectStore('info').get(key);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** Entries as they are stored, up to the first that cannot be read. */
  async #get(keys: readonly Key[]): Promise<StoredEntry[]> {
    try {
      const look = beginRead(this.#database);
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
  async #tidy(files: OpfsChunkFiles): Promise<void> {
    await this.#attempt(async (update) => {
      const known = await blobFiles(update);
      this.#run(files.removeUnknown(known));
    });
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
      if (!isQuotaError(error)) this.#fail(error);
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
