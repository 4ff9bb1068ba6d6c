import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from 'idb';
import { type ChunkRecords, joinBytes } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { normalizeIdbError } from '../idb.ts';
import { type NewEntry, storedBytes } from './batches.ts';
import type { ChunkStoreUsage } from './chunk-store.ts';
import { encodeEntryHead } from './entry-format.ts';
import type { FilePlace } from './opfs-chunk-files.web.ts';

export type Key = [xorb: string, start: number, end: number];

/** What is known of an entry without its bytes, so that a use does not write them anew. */
export interface EntryInfo {
  /** Counted against the limit. */
  bytes: number;
  /** Milliseconds since 1970. */
  usedMs: number;
  /** What its chunks are: those in its head are read together with all of its bytes. */
  records: ChunkRecords;
  /** Where its bytes are, if not in the database. Entries of one file come and go together. */
  place?: FilePlace;
}

interface Schema extends DBSchema {
  info: { key: Key; value: EntryInfo; indexes: { usedMs: number; file: string } };
  /** Head and bytes in one. */
  data: { key: Key; value: Uint8Array };
  /** One record: what all entries take. Every transaction that changes entries changes it, or removes it. */
  usage: { key: string; value: ChunkStoreUsage };
}

type StoreName = 'info' | 'data' | 'usage';
export type Database = IDBPDatabase<Schema>;
export type Update = IDBPTransaction<Schema, StoreName[], 'readwrite'>;

const STORES: StoreName[] = ['info', 'data', 'usage'];
/** Some browsers never answer when the database is broken. */
const OPEN_TIMEOUT_MS = 10_000;
/** Cached data may be lost in a crash of the machine; waiting for the disk would cost more. */
const RELAXED = { durability: 'relaxed' } as const;

/**
 * Rejects with `CACHE` where there is no IndexedDB, or none that works.
 * @param onLost told if the database goes away later
 */
export async function openDatabase(name: string, onLost: (reason: string) => void): Promise<Database> {
  try {
    if (typeof indexedDB === 'undefined') throw new Error('there is none');
    const database = await withTimeout(
      openDB<Schema>(name, 2, {
        upgrade(database, before, _, change) {
          if (before < 1) {
            database.createObjectStore('info').createIndex('usedMs', 'usedMs');
            database.createObjectStore('data');
            database.createObjectStore('usage');
          }
          // Where someone else has a database by this name, opening it says so.
          change.done.catch(() => undefined);
          if (before < 2) change.objectStore('info').createIndex('file', 'place.file');
        },
        blocking: () => onLost('it is being deleted or replaced'),
        terminated: () => onLost('the browser closed it'),
      }),
    );
    try {
      // A database of someone else by that name, or one that is broken, shows itself here.
      await transact(database, checkCount);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (cause) {
    throw unusable(cause);
  }
}

async function withTimeout(opening: Promise<Database>): Promise<Database> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error('it does not open'));
      // Should it open after all, an open connection would only be in the way of others.
      opening.then(
        (database) => database.close(),
        () => undefined,
      );
    }, OPEN_TIMEOUT_MS);
  });
  return Promise.race([opening, timeout]).finally(() => clearTimeout(timer));
}

export function unusable(cause: unknown): XetError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.+$/, '');
  return new XetError('CACHE', `The browser's database cannot be used: ${reason}.`, { cause });
}

/** All of a step, or nothing of it. In it nothing may be awaited but the database, or it ends too early. */
export async function transact<T>(database: Database, step: (update: Update) => Promise<T>): Promise<T> {
  const update: Update = database.transaction(STORES, 'readwrite', RELAXED);
  // A quota is often noticed only at the end, and then not told by the requests.
  const ended = update.done.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  try {
    const result = await step(update);
    const failed = await ended;
    if (failed) throw failed.error;
    return result;
  } catch (error) {
    const byUs = abort(update);
    const failed = await ended;
    // A step that goes on when the transaction is over learns only that it is.
    throw failed && !byUs ? failed.error : normalizeIdbError(error);
  }
}

/** Whether it was not over yet. */
function abort(update: Update): boolean {
  try {
    update.abort();
    return true;
  } catch {
    return false;
  }
}

/** What the keys of entries and the entries are read from. If it comes to nothing, the requests made of it say so. */
export function beginRead(database: Database): IDBPTransaction<Schema, ('info' | 'data')[]> {
  const look = database.transaction(['info', 'data']);
  look.done.catch(() => undefined);
  return look;
}

/** Of all entries of a xorb. */
export function keysOf(xorb: string): IDBKeyRange {
  return IDBKeyRange.bound([xorb, 0], [xorb, Number.POSITIVE_INFINITY]);
}

export function rangeOf([, start, end]: Key): ChunkRange {
  return { start, end };
}

/** What all entries take; they are counted anew where the count is missing. */
export async function readUsage(update: Update): Promise<ChunkStoreUsage> {
  const usage = (await update.objectStore('usage').get('all')) ?? sumOf(await update.objectStore('info').getAll());
  const { bytes, entries } = usage;
  if (Number.isFinite(bytes) && bytes >= 0 && Number.isInteger(entries) && entries >= 0) return { bytes, entries };
  // What cannot be counted cannot be bounded.
  await removeAll(update);
  return { bytes: 0, entries: 0 };
}

function sumOf(all: (EntryInfo | null)[]): ChunkStoreUsage {
  return { bytes: all.reduce((sum, info) => sum + (info?.bytes ?? Number.NaN), 0), entries: all.length };
}

/** Forgets the count if something was lost or added that was not counted. */
async function checkCount(update: Update): Promise<void> {
  const { entries } = await readUsage(update);
  if (entries !== (await update.objectStore('info').count())) await update.objectStore('usage').delete('all');
  await update.objectStore('info').index('usedMs').count();
}

/** Adds rows that are not there yet, and makes room for them. Together they are no larger than the limit. */
export async function addEntries(
  update: Update,
  rows: readonly NewEntry[],
  maxBytes: number,
  gone: Gone,
): Promise<void> {
  const keys = await Promise.all(rows.map((row) => update.objectStore('info').getKey(keyOf(row))));
  const entries = rows.filter((_, index) => !keys[index]).map((row) => ({ ...row, bytes: storedBytes(row) }));
  const added = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  // Another tab was faster.
  if (entries.length === 0) for (const { place } of rows) if (place) gone.add(place.file);
  await evict(update, maxBytes - added, 'store', gone);
  const usage = await readUsage(update);
  const usedMs = Date.now();
  const puts = entries.flatMap(({ xorb, chunks, records, pieces, place, bytes }) => {
    const key = keyOf({ xorb, chunks });
    const info = update.objectStore('info').put({ bytes, usedMs, records, ...(place && { place }) }, key);
    if (place) return [info];
    const data = joinBytes([encodeEntryHead(xorb, { chunks, records }), ...pieces]);
    return [info, update.objectStore('data').put(data, key)];
  });
  const whole = { bytes: usage.bytes + added, entries: usage.entries + entries.length };
  await Promise.all([...puts, update.objectStore('usage').put(whole, 'all')]);
}

const keyOf = ({ xorb, chunks }: Pick<NewEntry, 'xorb' | 'chunks'>): Key => [xorb, chunks.start, chunks.end];

/** What is done in one transaction. */
export type Step<T> = (update: Update, gone: Gone) => Promise<T>;

/** Files of entries that a transaction removes: they go when it has ended well. */
export type Gone = Set<string>;

/**
 * Removes the oldest until at most so many bytes are left; gives those freed.
 * @param count `forget` for a transaction that only removes: browsers let such a one pass where the quota is used up
 */
export async function evict(update: Update, maxBytes: number, count: 'store' | 'forget', gone: Gone): Promise<number> {
  const usage = await readUsage(update);
  const before = usage.bytes;
  if (before <= maxBytes) return 0;
  let cursor = await update.objectStore('info').index('usedMs').openCursor();
  for (; cursor && usage.bytes > maxBytes; cursor = await cursor.continue()) {
    const removed = await removeEntry(update, cursor.primaryKey, cursor.value, gone);
    usage.bytes -= removed.reduce((sum, { bytes }) => sum + bytes, 0);
    usage.entries -= removed.length;
  }
  if (usage.bytes > maxBytes) {
    // There is nothing left and still something is counted: the count was wrong.
    await removeAll(update, gone);
    return before;
  }
  if (count === 'store') await update.objectStore('usage').put(usage, 'all');
  else await update.objectStore('usage').delete('all');
  return before - usage.bytes;
}

/** Removes an entry, whatever is left of it. */
export async function dropEntry(update: Update, key: Key, gone: Gone): Promise<void> {
  const info = await update.objectStore('info').get(key);
  await Promise.all([removeEntry(update, key, info, gone), update.objectStore('usage').delete('all')]);
}

/** With all others of its file. Gives what was known of them. */
async function removeEntry(
  update: Update,
  key: Key,
  info: EntryInfo | null | undefined,
  gone: Gone,
): Promise<EntryInfo[]> {
  const infos = update.objectStore('info');
  const file: unknown = info?.place?.file;
  if (typeof file !== 'string') {
    await Promise.all([infos.delete(key), update.objectStore('data').delete(key)]);
    return info ? [info] : [];
  }
  const [keys, removed] = await Promise.all([infos.index('file').getAllKeys(file), infos.index('file').getAll(file)]);
  await Promise.all(keys.map((each) => infos.delete(each)));
  gone.add(file);
  return removed;
}

/** Notes that entries are used now, and those that go with them. */
export async function noteUses(update: Update, keys: readonly Key[]): Promise<void> {
  const infos = update.objectStore('info');
  const usedMs = Date.now();
  const note = async (key: Key) => {
    const info = await infos.get(key);
    if (info) await infos.put({ ...info, usedMs }, key);
    return info?.place?.file;
  };
  const files = new Set(await Promise.all(keys.map(note)));
  for (const file of files) {
    if (file !== undefined) await Promise.all((await infos.index('file').getAllKeys(file)).map(note));
  }
}

/** The files that have bytes of entries. */
export async function blobFiles(update: Update): Promise<Set<string>> {
  const files = new Set<string>();
  const index = update.objectStore('info').index('file');
  for (let cursor = await index.openKeyCursor(null, 'nextunique'); cursor; cursor = await cursor.continue())
    files.add(cursor.key);
  return files;
}

/** @param gone left out where it is not worth knowing: files that nothing leads to are removed when a store is opened */
export async function removeAll(update: Update, gone?: Gone): Promise<void> {
  if (gone) for (const file of await blobFiles(update)) gone.add(file);
  await Promise.all(STORES.map((store) => update.objectStore(store).clear()));
}
