import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from 'idb';
import { type ChunkRecords, joinBytes, totalLength } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { openWithin, type Transaction, transact } from '../idb.ts';
import type { NewEntry } from './batches.ts';
import type { ChunkRun, ChunkStoreUsage } from './chunk-store.ts';
import { encodeEntryHead, entryBytes } from './entry-format.ts';
import type { FilePlace } from './opfs-chunk-files.web.ts';

export type Key = [xorb: string, start: number, end: number];

/** Metadata of an entry, apart from its bytes so that noting a use does not rewrite them. */
export interface EntryInfo {
  /** Counted against the limit. */
  bytes: number;
  /** Last use, in milliseconds since 1970. */
  usedMs: number;
  /** A copy of the records: those in the entry's head cannot be read without all of its bytes. */
  records: ChunkRecords;
  /** Place of the bytes if they are in a file and not in the database. All entries of a file are removed together. */
  place?: FilePlace;
}

export interface Schema extends DBSchema {
  info: { key: Key; value: EntryInfo; indexes: { usedMs: number; file: string } };
  /** Head and bytes in one. */
  data: { key: Key; value: Uint8Array };
  /** One record with the sum over all entries. Each transaction that changes entries updates or removes it. */
  usage: { key: string; value: ChunkStoreUsage };
}

export type Database = IDBPDatabase<Schema>;
export type Update = Transaction<Schema>;
/** The body of one transaction. */
export type Step<T> = (update: Update, removed: RemovedFiles) => Promise<T>;
/** Files whose entries a transaction removes. They are deleted once it has succeeded. */
export type RemovedFiles = Set<string>;

/** A new entry whose bytes may already be in a file. */
export type PlacedEntry = NewEntry & { place?: FilePlace };

const STORES: ('info' | 'data' | 'usage')[] = ['info', 'data', 'usage'];
const OPEN_TIMEOUT_MS = 10_000;
/** Size of an entry beside its bytes: keys, indexes, and what the browser adds. */
const OVERHEAD_BYTES = 1024;

/** Returns the bytes that an entry of these chunks counts against the limit. */
export const storedBytes = (run: Pick<ChunkRun, 'chunks' | 'records'>) => entryBytes(run) + OVERHEAD_BYTES;

/**
 * Opens the database. Rejects with `CACHE` where there is no working IndexedDB.
 *
 * @param onLost called if the database is lost later.
 */
export async function openDatabase(name: string, onLost: (reason: string) => void): Promise<Database> {
  try {
    if (typeof indexedDB === 'undefined') throw new Error('there is none');
    const database = await openWithin(
      OPEN_TIMEOUT_MS,
      openDB<Schema>(name, 2, {
        upgrade(database, before, _, change) {
          if (before < 1) {
            database.createObjectStore('info').createIndex('usedMs', 'usedMs');
            database.createObjectStore('data');
            database.createObjectStore('usage');
          }
          // If another program owns a database by this name, opening it reports that.
          change.done.catch(() => undefined);
          if (before < 2) change.objectStore('info').createIndex('file', 'place.file');
        },
        blocking: () => onLost('it is being deleted or replaced'),
        terminated: () => onLost('the browser closed it'),
      }),
    );
    try {
      // Fails for a broken database, or one of another program.
      await changeEntries(database, checkCount);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (cause) {
    throw unusable(cause);
  }
}

export function unusable(cause: unknown): XetError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.+$/, '');
  return new XetError('CACHE', `The browser's database cannot be used: ${reason}.`, { cause });
}

/** Runs a step as one transaction over all stores. */
export function changeEntries<T>(database: Database, step: (update: Update) => Promise<T>): Promise<T> {
  return transact<T, Schema, 'readwrite'>(database, STORES, 'readwrite', step);
}

/** Begins a transaction that reads entries. If it fails, so do its requests. */
export function beginRead(database: Database): IDBPTransaction<Schema, ('info' | 'data')[]> {
  const read = database.transaction(['info', 'data']);
  read.done.catch(() => undefined);
  return read;
}

/** Returns the key range of all entries of a xorb. */
export function keysOf(xorb: string): IDBKeyRange {
  return IDBKeyRange.bound([xorb, 0], [xorb, Number.POSITIVE_INFINITY]);
}

export function rangeOf([, start, end]: Key): ChunkRange {
  return { start, end };
}

/** Returns the usage of all entries, counting them if the sum is missing. */
export async function readUsage(update: Update): Promise<ChunkStoreUsage> {
  const usage = (await update.objectStore('usage').get('all')) ?? sumOf(await update.objectStore('info').getAll());
  const { bytes, entries } = usage;
  if (Number.isFinite(bytes) && bytes >= 0 && Number.isInteger(entries) && entries >= 0) return { bytes, entries };
  // Entries that cannot be counted cannot be bounded.
  await removeAll(update);
  return { bytes: 0, entries: 0 };
}

function sumOf(all: (EntryInfo | null)[]): ChunkStoreUsage {
  return { bytes: all.reduce((sum, info) => sum + (info?.bytes ?? Number.NaN), 0), entries: all.length };
}

/** Removes the stored sum if entries were lost or added without being counted. */
async function checkCount(update: Update): Promise<void> {
  const { entries } = await readUsage(update);
  if (entries !== (await update.objectStore('info').count())) await update.objectStore('usage').delete('all');
  await update.objectStore('info').index('usedMs').count();
}

/** Assigns places to entries whose bytes are written to a file one after the other. */
export function placeInFile(file: string, entries: readonly NewEntry[]): PlacedEntry[] {
  let at = 0;
  return entries.map((entry) => {
    const placed = { ...entry, place: { file, at } };
    at += totalLength(entry.records);
    return placed;
  });
}

/** Adds entries that are not there yet, and evicts others for them. Together they are no larger than the limit. */
export async function addEntries(
  update: Update,
  candidates: readonly PlacedEntry[],
  maxBytes: number,
  removed: RemovedFiles,
): Promise<void> {
  const keys = await Promise.all(candidates.map((entry) => update.objectStore('info').getKey(keyOf(entry))));
  const entries = candidates
    .filter((_, index) => !keys[index])
    .map((entry) => ({ ...entry, bytes: storedBytes(entry) }));
  const added = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  // Another tab was faster.
  if (entries.length === 0) for (const { place } of candidates) if (place) removed.add(place.file);
  await evict(update, maxBytes - added, 'store', removed);
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

/**
 * Removes the least recently used entries until at most `maxBytes` remain. Returns the number of bytes freed.
 *
 * @param count `forget` for a transaction that only removes: browsers allow that even if the quota is used up.
 */
export async function evict(
  update: Update,
  maxBytes: number,
  count: 'store' | 'forget',
  removed: RemovedFiles,
): Promise<number> {
  const usage = await readUsage(update);
  const before = usage.bytes;
  if (before <= maxBytes) return 0;
  let cursor = await update.objectStore('info').index('usedMs').openCursor();
  for (; cursor && usage.bytes > maxBytes; cursor = await cursor.continue()) {
    const infos = await removeEntry(update, cursor.primaryKey, cursor.value, removed);
    usage.bytes -= infos.reduce((sum, { bytes }) => sum + bytes, 0);
    usage.entries -= infos.length;
  }
  if (usage.bytes > maxBytes) {
    // No entries remain and bytes are still counted: the count was wrong.
    await removeAll(update, removed);
    return before;
  }
  if (count === 'store') await update.objectStore('usage').put(usage, 'all');
  else await update.objectStore('usage').delete('all');
  return before - usage.bytes;
}

/** Removes an entry, or whatever is left of it. */
export async function dropEntry(update: Update, key: Key, removed: RemovedFiles): Promise<void> {
  const info = await update.objectStore('info').get(key);
  await Promise.all([removeEntry(update, key, info, removed), update.objectStore('usage').delete('all')]);
}

/** Removes an entry with all others of its file. Returns their metadata. */
async function removeEntry(
  update: Update,
  key: Key,
  info: EntryInfo | null | undefined,
  removed: RemovedFiles,
): Promise<EntryInfo[]> {
  const infos = update.objectStore('info');
  const file: unknown = info?.place?.file;
  if (typeof file !== 'string') {
    await Promise.all([infos.delete(key), update.objectStore('data').delete(key)]);
    return info ? [info] : [];
  }
  const [keys, found] = await Promise.all([infos.index('file').getAllKeys(file), infos.index('file').getAll(file)]);
  await Promise.all(keys.map((each) => infos.delete(each)));
  removed.add(file);
  return found;
}

/** Sets the time of use of entries, and of all others in their files. */
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

/** Returns the files that hold bytes of entries. */
export async function blobFiles(update: Update): Promise<Set<string>> {
  const files = new Set<string>();
  const index = update.objectStore('info').index('file');
  for (let cursor = await index.openKeyCursor(null, 'nextunique'); cursor; cursor = await cursor.continue())
    files.add(cursor.key);
  return files;
}

/** @param removed omitted where unused files may stay: opening a store removes them. */
export async function removeAll(update: Update, removed?: RemovedFiles): Promise<void> {
  if (removed) for (const file of await blobFiles(update)) removed.add(file);
  await Promise.all(STORES.map((store) => update.objectStore(store).clear()));
}
