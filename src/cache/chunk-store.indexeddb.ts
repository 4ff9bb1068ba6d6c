import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkSlice, joinBytes, totalLength } from '../chunks.ts';
import { XetError } from '../errors.ts';
import type { ChunkRange } from '../ranges.ts';
import {
  addRuns,
  type Database,
  dropEntry,
  type EntryInfo,
  evict,
  type Key,
  keysOf,
  lookInto,
  openDatabase,
  removeAll,
  storedBytes,
  transact,
  type Update,
  unusable,
  usageOf,
  type XorbRun,
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

/**
 * Most of what a transaction takes is the same however much is in it, and a browser does one after the other: what waits for
 * its turn goes together, up to so many bytes, and so large a part of the limit.
 */
const GROUP_BYTES = 8 * 1024 * 1024;
const GROUP_SHARE = 1 / 8;

/** Chunks of entries in a row that are read at once: about 2 MiB. */
const ROW_CHUNKS = 32;
/** How long a use of an entry may wait before it is written down. */
const NOTE_AFTER_MS = 1000;

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
  /** To be put, in order; each of them has asked for a turn. */
  #waiting: XorbRun[] = [];
  readonly #turns = new Turns();
  /** Entries whose use is to be written down. */
  readonly #used = new Map<string, Key>();
  #noteTimer: ReturnType<typeof setTimeout> | undefined;
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
    const entries = await this.#entriesOf(xorb);
    for (const first of entriesWith(entries, chunks.start)) {
      const keys = rowFrom(first, entries, chunks).map(({ start, end }): Key => [xorb, start, end]);
      const loaded = await this.#loadRow(keys, chunks);
      // The transaction is over by now: it would not wait for a hash.
      const { good, damaged } = loaded ? await checkRun(loaded, this.#hash) : { good: undefined, damaged: true };
      if (damaged) {
        const wrong = good?.chunks.end ?? chunks.start;
        const key = keys.find(([, start, end]) => start <= wrong && wrong < end);
        if (key) await this.#attempt((update) => dropEntry(update, key));
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
    await this.#attempt(async (update) => {
      for (const key of await update.objectStore('info').getAllKeys(keysOf(xorb))) await dropEntry(update, key);
    });
  }

  async usage(): Promise<ChunkStoreUsage> {
    return this.#change((update) => usageOf(update));
  }

  async prune(maxBytes: number): Promise<number> {
    this.#writeNotes();
    return this.#change((update) => evict(update, maxBytes, 'forget'));
  }

  async clear(): Promise<void> {
    await this.#change((update) => removeAll(update));
  }

  async close(): Promise<void> {
    const wasOpen = this.#state === 'open';
    this.#writeNotes();
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

  /** Chunks of entries in a row, not hashed yet, up to the first that is not what its key says or cannot be read. */
  async #loadRow(keys: readonly Key[], chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (this.#state !== 'open') return undefined;
    const parts: ChunkRun[] = [];
    for (const { key, info, data } of await this.#get(keys)) {
      const part = info && data instanceof Uint8Array ? entryPart(key, data, chunks) : undefined;
      if (!info || !part) break;
      parts.push(part);
      if (Math.abs(Date.now() - info.usedMs) >= USE_STEP_MS) this.#noteUse(key);
    }
    return parts.length > 0 ? joined(parts) : undefined;
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
    if (keys.length === 0) return;
    const usedMs = Date.now();
    const note = this.#attempt((update) =>
      Promise.all(
        keys.map(async (key) => {
          const info = await update.objectStore('info').get(key);
          if (info) await update.objectStore('info').put({ ...info, usedMs }, key);
        }),
      ),
    ).finally(() => this.#notes.delete(note));
    this.#notes.add(note);
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
    await transact(this.#database, async (update) => {
      const missing: XorbRun[] = [];
      let room = this.#maxBytes;
      const held = new Map<string, ChunkRange[]>();
      for (const { xorb, run } of group) {
        const ranges =
          held.get(xorb) ??
          (await update.objectStore('info').getAllKeys(keysOf(xorb))).map(rangeOf).filter(isXorbRange);
        const added = subtractRanges(run.chunks, ranges).map((chunks) => partOfRun(run, chunks));
        const fitting = added.filter((part) => {
          const fits = storedBytes(part) <= room;
          if (fits) room -= storedBytes(part);
          return fits;
        });
        held.set(xorb, [...ranges, ...fitting.map(({ chunks }) => chunks)]);
        missing.push(...fitting.map((part) => ({ xorb, run: part })));
      }
      if (missing.length > 0) await addRuns(update, missing, this.#maxBytes);
    }).catch((error: unknown) => {
      throw meaningOfAdding(error);
    });
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
      await transact(this.#database, async (update) => evict(update, (await usageOf(update)).bytes / 2, 'forget'));
      await this.#add([one]);
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

interface StoredEntry {
  key: Key;
  info: EntryInfo | undefined;
  /** Whatever is there. */
  data: unknown;
}

/** An entry and those that go on where it ends, about as many as are worth one reading. */
function rowFrom(first: ChunkRange, entries: readonly ChunkRange[], wanted: ChunkRange): ChunkRange[] {
  const row = [first];
  const most = wanted.start + ROW_CHUNKS;
  for (let last = first; last.end < Math.min(wanted.end, most); ) {
    const next = entries.find(({ start, end }) => start === last.end && end <= most);
    if (!next) break;
    row.push(next);
    last = next;
  }
  return row;
}

/** The wanted chunks of an entry, without a copy; undefined if it is not what its key says. */
function entryPart([xorb, start, end]: Key, data: Uint8Array, wanted: ChunkRange): ChunkRun | undefined {
  const head = data.subarray(0, entryHeadBytes({ start, end }));
  const all = decodeEntryHead(head, xorb, { start, end }, data.length);
  if (!all) return undefined;
  const chunks = { start: Math.max(wanted.start, start), end: Math.min(wanted.end, end) };
  const records = chunkSlice(all, chunks.start - start, chunks.end - start);
  const position = head.length + totalLength(chunkSlice(all, 0, chunks.start - start));
  return { chunks, records, bytes: data.subarray(position, position + totalLength(records)) };
}

/** Runs in a row as one, of its own memory. */
function joined(parts: readonly ChunkRun[]): ChunkRun {
  const [first, last] = [parts[0] as ChunkRun, parts.at(-1) as ChunkRun];
  return {
    chunks: { start: first.chunks.start, end: last.chunks.end },
    records: joinBytes(parts.map(({ records }) => records)),
    bytes: joinBytes(parts.map(({ bytes }) => bytes)),
  };
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
