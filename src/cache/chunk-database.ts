import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from 'idb';
import { type ChunkRecords, joinBytes, totalLength } from '../chunks.ts';
import { XetError } from '../errors.ts';
import type { ChunkRange } from '../ranges.ts';
import { encodeEntryHead, entryBytes } from './chunk-entry.ts';
import type { ChunkRun, ChunkStoreUsage } from './chunk-store.ts';
import { meaningOf } from './out-of-room.ts';

export type Key = [xorb: string, start: number, end: number];

/** What is known of an entry without its bytes, so that a use does not write them anew. */
export interface EntryInfo {
  /** Counted against the limit. */
  bytes: number;
  /** Milliseconds since 1970. */
  usedMs: number;
  /** What its chunks are: those in its head are read together with all of its bytes. */
  records: ChunkRecords;
}

interface Schema extends DBSchema {
  info: { key: Key; value: EntryInfo; indexes: { usedMs: number } };
  /** Head and bytes in one, as in a file. */
  data: { key: Key; value: Uint8Array };
  /** One record: what all entries take. Every transaction that changes entries changes it, or removes it. */
  usage: { key: string; value: ChunkStoreUsage };
}

type StoreName = 'info' | 'data' | 'usage';
export type Database = IDBPDatabase<Schema>;
export type Update = IDBPTransaction<Schema, StoreName[], 'readwrite'>;

const STORES: StoreName[] = ['info', 'data', 'usage'];
/** What an entry takes beside its bytes: keys, index, and what the browser adds. */
const OVERHEAD_BYTES = 1024;
/** What is one entry at most, where runs come in a row: a short read has to load all of it. */
const ROW_BYTES = 1024 * 1024;
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
    const database = await inTime(
      openDB<Schema>(name, 1, {
        upgrade(fresh) {
          fresh.createObjectStore('info').createIndex('usedMs', 'usedMs');
          fresh.createObjectStore('data');
          fresh.createObjectStore('usage');
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

async function inTime(opening: Promise<Database>): Promise<Database> {
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
  const reason = cause instanceof Error ? cause.message : String(cause);
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
    throw failed && !byUs ? failed.error : meaningOf(error);
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
export function lookInto(database: Database): IDBPTransaction<Schema, ('info' | 'data')[]> {
  const look = database.transaction(['info', 'data']);
  look.done.catch(() => undefined);
  return look;
}

/** Of all entries of a xorb. */
export function keysOf(xorb: string): IDBKeyRange {
  return IDBKeyRange.bound([xorb, 0], [xorb, Number.POSITIVE_INFINITY]);
}

/** What all entries take; they are counted anew where the count is missing. */
export async function usageOf(update: Update): Promise<ChunkStoreUsage> {
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
  const { entries } = await usageOf(update);
  if (entries !== (await update.objectStore('info').count())) await update.objectStore('usage').delete('all');
  await update.objectStore('info').index('usedMs').count();
}

/** A run, and the xorb that it is of. */
export interface XorbRun {
  xorb: string;
  run: ChunkRun;
}

/** What an entry of these chunks counts against the limit. */
export const storedBytes = (run: Pick<ChunkRun, 'chunks' | 'records'>) => entryBytes(run) + OVERHEAD_BYTES;

/** Adds runs that are not there yet, and makes room for them. Together they are no larger than the limit. */
export async function addRuns(update: Update, runs: readonly XorbRun[], maxBytes: number): Promise<void> {
  const entries = inRows(runs).map((row) => ({ ...row, bytes: storedBytes(row) }));
  const added = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  await evict(update, maxBytes - added, 'store');
  const usage = await usageOf(update);
  const usedMs = Date.now();
  const puts = entries.flatMap(({ xorb, chunks, records, pieces, bytes }) => {
    const key: Key = [xorb, chunks.start, chunks.end];
    return [
      update.objectStore('data').put(joinBytes([encodeEntryHead(xorb, { chunks, records }), ...pieces]), key),
      update.objectStore('info').put({ bytes, usedMs, records }, key),
    ];
  });
  const whole = { bytes: usage.bytes + added, entries: usage.entries + entries.length };
  await Promise.all([...puts, update.objectStore('usage').put(whole, 'all')]);
}

interface Row {
  xorb: string;
  chunks: ChunkRange;
  records: ChunkRecords;
  pieces: Uint8Array[];
}

/** Runs that go on where others end, as one: most browsers make a file of each value. No row gets much longer than {@link ROW_BYTES}. */
function inRows(runs: readonly XorbRun[]): Row[] {
  const rows: Row[] = [];
  const inOrder = [...runs].sort((a, b) => compare(a.xorb, b.xorb) || a.run.chunks.start - b.run.chunks.start);
  for (const { xorb, run } of inOrder) {
    const last = rows.at(-1);
    const { chunks, records, bytes } = run;
    const goesOn = last?.xorb === xorb && last.chunks.end === chunks.start;
    if (last && goesOn && totalLength(last.records) + bytes.length <= ROW_BYTES) {
      last.chunks = { start: last.chunks.start, end: chunks.end };
      last.records = joinBytes([last.records, records]);
      last.pieces.push(bytes);
    } else {
      rows.push({ xorb, chunks, records: records.slice(), pieces: [bytes] });
    }
  }
  return rows;
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b));

/**
 * Removes the oldest until at most so many bytes are left; gives those freed.
 * @param count `forget` for a transaction that only removes: browsers let such a one pass where the quota is used up
 */
export async function evict(update: Update, maxBytes: number, count: 'store' | 'forget'): Promise<number> {
  const usage = await usageOf(update);
  const before = usage.bytes;
  if (before <= maxBytes) return 0;
  let cursor = await update.objectStore('info').index('usedMs').openCursor();
  for (; cursor && usage.bytes > maxBytes; cursor = await cursor.continue()) {
    await Promise.all([cursor.delete(), update.objectStore('data').delete(cursor.primaryKey)]);
    usage.bytes -= cursor.value.bytes;
    usage.entries--;
  }
  if (usage.bytes > maxBytes) {
    // There is nothing left and still something is counted: the count was wrong.
    await removeAll(update);
    return before;
  }
  if (count === 'store') await update.objectStore('usage').put(usage, 'all');
  else await update.objectStore('usage').delete('all');
  return before - usage.bytes;
}

/** Removes an entry, whatever is left of it. */
export async function dropEntry(update: Update, key: Key): Promise<void> {
  await Promise.all([
    update.objectStore('info').delete(key),
    update.objectStore('data').delete(key),
    update.objectStore('usage').delete('all'),
  ]);
}

export async function removeAll(update: Update): Promise<void> {
  await Promise.all(STORES.map((store) => update.objectStore(store).clear()));
}
