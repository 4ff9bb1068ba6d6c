import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from 'idb';
import { XetError } from '../core/errors.ts';

/**
 * True if IndexedDB failed for lack of space, which is no defect: its contents can still be read. Firefox often reports
 * only that it aborted the transaction.
 */
export function isQuotaError(error: unknown): boolean {
  return error instanceof Error && ['QuotaExceededError', 'AbortError'].includes(error.name);
}

/**
 * Translates errors of transactions. The first transaction after a quota error may only remove in Firefox, which
 * answers every addition with `InvalidStateError`.
 */
function normalizeIdbError(error: unknown): unknown {
  return isNamed(error, 'InvalidStateError') ? quotaError() : error;
}

/**
 * Translates errors of transactions that add large values. Firefox stores values of a megabyte and more as files, and
 * answers `UnknownError` if there is no space for one. If something else is broken, the next read shows it.
 */
export function normalizeIdbAddError(error: unknown): unknown {
  return isNamed(error, 'UnknownError') ? quotaError() : error;
}

const isNamed = (error: unknown, name: string) => error instanceof Error && error.name === name;

const quotaError = () => new DOMException('The browser accepts no additions at the moment.', 'QuotaExceededError');

/** A transaction over all stores of a schema. */
export type Transaction<Schema extends DBSchema, Mode extends IDBTransactionMode = 'readwrite'> = IDBPTransaction<
  Schema,
  StoreNames<Schema>[],
  Mode
>;

/**
 * Runs all of a step or nothing of it. The step may await nothing but requests of its transaction, which would otherwise
 * end too early.
 */
export async function transact<T, Schema extends DBSchema, Mode extends 'readonly' | 'readwrite'>(
  database: IDBPDatabase<Schema>,
  stores: StoreNames<Schema>[],
  mode: Mode,
  step: (transaction: Transaction<Schema, Mode>) => Promise<T>,
): Promise<T> {
  // Cached data may be lost if the machine crashes; waiting for the disk each time would cost more.
  const transaction = database.transaction(stores, mode, { durability: 'relaxed' });
  // A quota is often noticed only at the end, and then its requests do not fail.
  const ended = transaction.done.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  try {
    const result = await step(transaction);
    const failed = await ended;
    if (failed) throw failed.error;
    return result;
  } catch (error) {
    const wasActive = abort(transaction);
    const failed = await ended;
    // A step that outlives its transaction learns only that it is over; the transaction knows why.
    throw normalizeIdbError(failed && !wasActive ? failed.error : error);
  }
}

/** Aborts a transaction. Returns false if it was already over. */
function abort(transaction: { abort(): void }): boolean {
  try {
    transaction.abort();
    return true;
  } catch {
    return false;
  }
}

/** Rejects with `TIMEOUT` after `ms`: some browsers never answer when a database is broken. */
export async function withTimeout<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new XetError('TIMEOUT', `IndexedDB did not answer within ${ms / 1000} s.`);
    timer = setTimeout(() => reject(error), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for a database to open. One that opens too late is closed, because it would block others. */
export async function openWithin<D extends { close(): void }>(ms: number, opening: Promise<D>): Promise<D> {
  try {
    return await withTimeout(ms, opening);
  } catch (error) {
    opening.then(
      (database) => database.close(),
      () => undefined,
    );
    throw error;
  }
}
