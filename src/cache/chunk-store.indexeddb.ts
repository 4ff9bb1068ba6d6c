import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkSlice, totalLength } from '../chunks.ts';
import { XetError } from '../errors.ts';
import type { ChunkRange } from '../ranges.ts';
import {
  addEntry,
  type Database,
  dropEntry,
  type EntryInfo,
  evict,
  type Key,
  keysOf,
  lookInto,
  openDatabase,
  removeAll,
  transact,
  type Update,
  unusable,
  usageOf,
} from './chunk-database.ts';
import { decodeEntryHead, ENTRY_VERSION, entryHeadBytes } from './chunk-entry.ts';
import {
  assertRun,
  assertXorb,
  type ChunkStoreOptions,
  checkRun,
  chunksFit,
  entriesWith,
  type HashChunk,
  isXorbRange,
  PUT_PAUSE_MS,
  partOfRun,
  rangesWithin,
  recordsInRow,
  subtractRanges,
  USE_STEP_MS,
} from './chunk-runs.ts';
import type { ChunkRun, ChunkStore, ChunkStoreUsage } from './chunk-store.ts';
import { isOutOfRoom, meaningOfAdding } from './out-of-room.ts';
import { Turns } from './turns.ts';

export interface IndexedDbChunkStoreOptions extends ChunkStoreOptions {
  /** Called once if the database is lost for good while it is in use. From then on the store is empty. */
  onLost?: (reason: string) => void;
}

/** Pages of a site share their quota with all else it stores. */
const QUOTA_SHARE = 0.5;

/**
 * A chunk store in a database, for any number of pages and workers at once. Rejects with `CACHE` where there is no
 * working IndexedDB, as in some private windows. `maxBytes` is capped at half of what the browser grants the site.
 */
export async function openIndexedDbChunkStore(name: string, options: IndexedDbChunkStoreOptions): Promise<ChunkStore> {
  let store: IndexedDbChunkStore | undefined;
  let lost: string | undefined;
  const onLost = (reason: string) => {
    lost ??= reason;
    store?.lose(reason);
  };
  const database = await openDatabase(`${name}-chunks-v${ENTRY_VERSION}`, onLost);
  const maxBytes = Math.min(options.maxBytes, await grantedBytes());
  store = new IndexedDbChunkStore(database, { ...options, maxBytes });
  if (lost !== undefined) store.lose(lost);
  return store;
}

class IndexedDbChunkStore implements ChunkStore {
  readonly #database: Database;
  readonly #maxBytes: number;
  readonly #hash: HashChunk;
  readonly #onLost: ((reason: string) => void) | undefined;
  #pausedUntil = 0;
  readonly #turns = new Turns();
  /** Times of use being written down. */
  readonly #notes = new Set<Promise<void>>();
  #state: 'open' | 'lost' | 'closed' = 'open';

  constructor(database: Database, { maxBytes, hash, onLost }: IndexedDbChunkStoreOptions) {
    this.#database = database;
    this.#maxBytes = maxBytes;
    this.#hash = hash;
    this.#onLost = onLost;
  }

  async find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]> {
    return rangesWithin(await this.#entriesOf(xorb), chunks);
  }

  async records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords> {
    return recordsInRow(await this.#entriesOf(xorb), chunks, async ({ start, end }) => {
      const records: unknown = (await this.#info([xorb, start, end]))?.records;
      const fit = records instanceof Uint8Array && records.length === (end - start) * CHUNK_RECORD_BYTES;
      return fit && chunksFit(records) ? records : undefined;
    });
  }

  async read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (chunks.start >= chunks.end) return undefined;
    for (const entry of entriesWith(await this.#entriesOf(xorb), chunks.start)) {
      const key: Key = [xorb, entry.start, entry.end];
      const loaded = await this.#load(key, { start: chunks.start, end: Math.min(chunks.end, entry.end) });
      // The transaction is over by now: it would not wait for a hash.
      const { good, damaged } = loaded ? await checkRun(loaded.run, this.#hash) : { good: undefined, damaged: true };
      if (damaged) await this.#attempt((update) => dropEntry(update, key));
      else if (loaded && Math.abs(Date.now() - loaded.usedMs) >= USE_STEP_MS) this.#noteUse(key);
      if (good) return good;
    }
    return undefined;
  }

  async put(xorb: string, run: ChunkRun): Promise<void> {
    assertRun(xorb, run);
    if (this.#state !== 'open') return;
    // Else all puts that meet the quota at once would make room, each for itself.
    await this.#turns.take(async () => {
      if (performance.now() < this.#pausedUntil) return;
      try {
        await this.#add(xorb, run);
      } catch (error) {
        if (!isOutOfRoom(error)) return this.#fail(error);
        await this.#addToLess(xorb, run);
      }
    });
  }

  async drop(xorb: string): Promise<void> {
    assertXorb(xorb);
    await this.#attempt(async (update) => {
      for (const key of await update.objectStore('info').getAllKeys(keysOf(xorb))) await dropEntry(update, key);
    });
  }

  async usage(): Promise<ChunkStoreUsage> {
    return this.#change((update) => usageOf(update));
  }

  async prune(maxBytes: number): Promise<number> {
    return this.#change((update) => evict(update, maxBytes, 'forget'));
  }

  async clear(): Promise<void> {
    await this.#change((update) => removeAll(update));
  }

  async close(): Promise<void> {
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    await this.#turns.over();
    await Promise.all(this.#notes);
    if (wasOpen) this.#database.close();
  }

  /** Gives the database up. Closing it also lets those go on who want to delete it. */
  lose(reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'lost';
    this.#database.close();
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

  /** Chunks of an entry, not hashed yet; undefined if it is not what its key says, or cannot be read. */
  async #load(key: Key, chunks: ChunkRange): Promise<{ run: ChunkRun; usedMs: number } | undefined> {
    if (this.#state !== 'open') return undefined;
    const [info, data] = await this.#get(key);
    const [xorb, start, end] = key;
    if (!info || !(data instanceof Uint8Array)) return undefined;
    const head = data.subarray(0, entryHeadBytes({ start, end }));
    const all = decodeEntryHead(head, xorb, { start, end }, data.length);
    if (!all) return undefined;
    const records = chunkSlice(all, chunks.start - start, chunks.end - start).slice();
    const position = head.length + totalLength(chunkSlice(all, 0, chunks.start - start));
    const bytes = data.slice(position, position + totalLength(records));
    return { run: { chunks, records, bytes }, usedMs: info.usedMs };
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

  async #get(key: Key): Promise<[EntryInfo?, unknown?]> {
    try {
      const look = lookInto(this.#database);
      return await Promise.all([look.objectStore('info').get(key), look.objectStore('data').get(key)]);
    } catch {
      // Browsers keep large values in files of their own, and one may be missing while the rest works. The entry is
      // dropped then; if that fails as well, the database is given up.
      return [];
    }
  }

  /** Writes down that an entry was used, without anyone having to wait for it. */
  #noteUse(key: Key): void {
    const note = this.#attempt(async (update) => {
      const info = await update.objectStore('info').get(key);
      if (info) await update.objectStore('info').put({ ...info, usedMs: Date.now() }, key);
    }).finally(() => this.#notes.delete(note));
    this.#notes.add(note);
  }

  async #add(xorb: string, run: ChunkRun): Promise<void> {
    await transact(this.#database, async (update) => {
      const held = await update.objectStore('info').getAllKeys(keysOf(xorb));
      const missing = subtractRanges(run.chunks, held.map(rangeOf).filter(isXorbRange));
      for (const chunks of missing) await addEntry(update, xorb, partOfRun(run, chunks), this.#maxBytes);
    }).catch((error: unknown) => {
      throw meaningOfAdding(error);
    });
  }

  /** The browser has less room than it said: what was not used for the longest time makes way, about half of all. */
  async #addToLess(xorb: string, run: ChunkRun): Promise<void> {
    try {
      await transact(this.#database, async (update) => evict(update, (await usageOf(update)).bytes / 2, 'forget'));
      await this.#add(xorb, run);
    } catch (error) {
      if (!isOutOfRoom(error)) return this.#fail(error);
      // What was removed may count for a while yet, or others use up the quota: what is here can still be read.
      this.#pausedUntil = performance.now() + PUT_PAUSE_MS;
    }
  }

  /** A change that the caller is told about if it fails. */
  async #change<T>(step: (update: Update) => Promise<T>): Promise<T> {
    if (this.#state === 'closed') throw new XetError('CLOSED', 'The chunk cache was closed.');
    try {
      return await transact(this.#database, step);
    } catch (cause) {
      throw unusable(cause);
    }
  }

  /** A change that may fail: all it does is keep the cache in order. */
  async #attempt(step: (update: Update) => Promise<unknown>): Promise<void> {
    if (this.#state !== 'open') return;
    await transact(this.#database, step).catch((error: unknown) => {
      if (!isOutOfRoom(error)) this.#fail(error);
    });
  }

  /** An error that is not about room: whatever it is, the database is no longer one that can be relied on. */
  #fail(error: unknown): void {
    this.lose(error instanceof Error ? error.message : String(error));
  }
}

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
