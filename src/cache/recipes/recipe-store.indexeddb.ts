import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import { XetError } from '../../core/errors.ts';
import { isHashHex } from '../../core/hash.ts';
import { isCount } from '../../core/json-values.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';
import { isQuotaError, normalizeIdbAddError, openWithin, transact, withTimeout } from '../idb.ts';
import { decodeRecipe, encodedLength, encodeIfConsistent } from './recipe-format.ts';
import { filesOf, XorbListings, type XorbUse, xorbsOf } from './recipe-index.ts';
import type { RecipeStore, RecipeUsage } from './recipe-store.ts';

interface Schema extends DBSchema {
  /** By file hash. Separate from `about`, so that noting a use and counting do not move megabytes. */
  recipes: { key: string; value: Uint8Array<ArrayBuffer> };
  about: { key: string; value: About; indexes: { usedAt: number } };
  uses: { key: [xorb: string, fileHash: string]; value: XorbUse & { xorb: string }; indexes: { fileHash: string } };
}

interface About {
  fileHash: string;
  storedBytes: number;
  /** Time of last use, in milliseconds since 1970. */
  usedAt: number;
}

export interface IndexedDbRecipeOptions {
  /** Limit for encoded recipes in bytes. Default: 256 MiB. */
  maxBytes?: number;
  /** Called once when the database fails for good. The store is empty from then on. */
  onBroken?: (error: unknown) => void;
}

const MIB = 1024 * 1024;
const USE_NOTED_MS = 10 * 60 * 1000;
/** Some browsers occasionally never answer. These are the longest waits that a cache is worth. */
const OPEN_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 30_000;
const STORES: ('recipes' | 'about' | 'uses')[] = ['recipes', 'about', 'uses'];

type Database = IDBPDatabase<Schema>;

/**
 * Opens recipes in the database `<name>-recipes-v1`, which the tabs and workers of an origin share. Each change is one
 * transaction, so a recipe and its index entries are added and removed together. Rejects where there is no
 * IndexedDB, or it is refused.
 */
export async function openIndexedDbRecipeStore(
  name: string,
  options: IndexedDbRecipeOptions = {},
): Promise<RecipeStore> {
  // `idb` uses the global unchecked.
  if (typeof indexedDB === 'undefined') throw new XetError('UNSUPPORTED', 'There is no IndexedDB here.');
  const store = new IndexedDbRecipeStore(options);
  await store.open(`${name}-recipes-v1`);
  return store;
}

class IndexedDbRecipeStore implements RecipeStore {
  readonly #maxBytes: number;
  readonly #onBroken: (error: unknown) => void;
  #db: Database | undefined;
  readonly #listings = new XorbListings();
  /** Bytes stored by this page since the last count; NaN before the first count, so that the first put counts. */
  #addedBytes = Number.NaN;

  constructor({ maxBytes, onBroken }: IndexedDbRecipeOptions) {
    this.#maxBytes = maxBytes ?? 256 * MIB;
    this.#onBroken = onBroken ?? (() => {});
  }

  async open(name: string): Promise<void> {
    const opening = openDB<Schema>(name, 1, {
      upgrade: (db) => {
        db.createObjectStore('recipes');
        db.createObjectStore('about', { keyPath: 'fileHash' }).createIndex('usedAt', 'usedAt');
        db.createObjectStore('uses', { keyPath: ['xorb', 'fileHash'] }).createIndex('fileHash', 'fileHash');
      },
      // Another page waits to delete the database.
      blocking: () => this.#break(new XetError('CACHE', 'The database was deleted.')),
      terminated: () => this.#break(new XetError('CACHE', 'The browser closed the database.')),
    });
    this.#db = await openWithin(OPEN_TIMEOUT_MS, opening);
  }

  async get(fileHash: string): Promise<Recipe | undefined> {
    if (!isHashHex(fileHash)) return undefined;
    const found = await this.#ask(undefined, (db) => readRecipe(db, fileHash));
    if (!found) return undefined;
    const { bytes, about } = found;
    const recipe = bytes instanceof Uint8Array && about ? decodeRecipe(bytes, fileHash) : undefined;
    if (!recipe) await this.drop(fileHash);
    else if (!(Math.abs(Date.now() - (about?.usedAt ?? 0)) < USE_NOTED_MS)) await this.#noteUse(fileHash);
    return recipe;
  }

  async put(recipe: Recipe): Promise<void> {
    const length = encodedLength(recipe);
    if (length > this.#maxBytes / 2 || !isHashHex(recipe.fileHash)) return;
    const known = await this.#ask(undefined, (db) =>
      transact(db, STORES, 'readonly', (stores) => stores.objectStore('about').get(recipe.fileHash)),
    );
    if (known?.storedBytes === length) return this.#noteUse(recipe.fileHash);
    const bytes = encodeIfConsistent(recipe);
    if (!bytes) return;
    await this.#ask(undefined, async (db) => {
      try {
        await putRecipe(db, recipe, bytes);
      } catch (error) {
        if (!isQuotaError(error)) throw error;
        await keepAtMost(db, bytesOf(await everything(db)) / 2);
        await putRecipe(db, recipe, bytes);
      }
    });
    for (const [xorb, chunks] of xorbsOf(recipe)) this.#listings.add(xorb, { fileHash: recipe.fileHash, chunks });
    this.#addedBytes += length;
    if (this.#addedBytes < this.#maxBytes / 20) return;
    this.#addedBytes = 0;
    await this.#ask(undefined, async (db) => {
      // Leaves room for puts until the next count, and enough that not every count has to evict.
      if (bytesOf(await everything(db)) > this.#maxBytes * 0.95) await keepAtMost(db, this.#maxBytes * 0.9);
    });
  }

  async filesWith(xorb: string, chunks?: ChunkRange): Promise<string[]> {
    if (!isHashHex(xorb)) return [];
    // Arrays sort after all strings, so this is the range of all keys that begin with the xorb.
    const keys = () => IDBKeyRange.bound([xorb], [xorb, []]);
    const read = () =>
      this.#ask([], (db) => transact(db, STORES, 'readonly', (stores) => stores.objectStore('uses').getAll(keys())));
    return filesOf(await this.#listings.of(xorb, read), chunks);
  }

  async drop(fileHash: string): Promise<void> {
    if (!isHashHex(fileHash)) return;
    await this.#ask(undefined, (db) => dropRecipes(db, [fileHash]));
    this.#listings.forget();
  }

  async *list() {
    const all = await this.#ask([], everything);
    for (const { fileHash, storedBytes } of all) yield { fileHash, storedBytes };
  }

  async usage(): Promise<RecipeUsage> {
    const all = await this.#ask([], everything);
    return { bytes: bytesOf(all), recipes: all.length };
  }

  async clear(): Promise<void> {
    await this.#ask(undefined, async (db) => {
      await transact(db, STORES, 'readwrite', (stores) =>
        Promise.all(STORES.map((name) => stores.objectStore(name).clear())),
      );
    });
    this.#listings.forget();
  }

  async close(): Promise<void> {
    this.#db?.close();
    this.#db = undefined;
  }

  async #noteUse(fileHash: string): Promise<void> {
    await this.#ask(undefined, (db) =>
      transact(db, STORES, 'readwrite', async (stores) => {
        const store = stores.objectStore('about');
        const about = await store.get(fileHash);
        if (about) await store.put({ ...about, usedAt: Date.now() });
      }),
    );
  }

  /** Runs a step on the database. After a failure, the store behaves as an empty one. */
  async #ask<T>(otherwise: T, step: (db: Database) => Promise<T>): Promise<T> {
    if (!this.#db) return otherwise;
    try {
      return await withTimeout(ANSWER_TIMEOUT_MS, step(this.#db));
    } catch (error) {
      if (!isDatabaseError(error)) throw error;
      // Lack of space is no defect: stored recipes can still be read.
      if (!isQuotaError(error)) this.#break(error);
      return otherwise;
    }
  }

  #break(error: unknown): void {
    if (!this.#db) return;
    this.#db.close();
    this.#db = undefined;
    this.#onBroken(error);
  }
}

/** Reads the values of a hash, valid or not. */
async function readRecipe(db: Database, fileHash: string) {
  try {
    const [bytes, about] = await transact(db, STORES, 'readonly', (stores) =>
      Promise.all([stores.objectStore('recipes').get(fileHash), stores.objectStore('about').get(fileHash)]),
    );
    return bytes === undefined && about === undefined ? undefined : { bytes, about };
  } catch (error) {
    // The browser may have lost this value only. Dropping it fails if the whole database is broken.
    if (isDatabaseError(error) && error.name !== 'InvalidStateError') return { bytes: undefined, about: undefined };
    throw error;
  }
}

async function putRecipe(db: Database, recipe: Recipe, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { fileHash } = recipe;
  await transact(db, STORES, 'readwrite', async (stores) => {
    const uses = stores.objectStore('uses');
    const before = await uses.index('fileHash').getAllKeys(fileHash);
    await Promise.all([
      ...before.map((key) => uses.delete(key)),
      stores.objectStore('recipes').put(bytes, fileHash),
      stores.objectStore('about').put({ fileHash, storedBytes: bytes.length, usedAt: Date.now() }),
      ...Array.from(xorbsOf(recipe), ([xorb, chunks]) => uses.put({ xorb, fileHash, chunks })),
    ]);
  }).catch((error: unknown) => {
    throw normalizeIdbAddError(error);
  });
}

async function dropRecipes(db: Database, fileHashes: string[]): Promise<void> {
  await transact(db, STORES, 'readwrite', async (stores) => {
    const uses = stores.objectStore('uses');
    const keys = await Promise.all(fileHashes.map((fileHash) => uses.index('fileHash').getAllKeys(fileHash)));
    await Promise.all([
      ...keys.flat().map((key) => uses.delete(key)),
      ...fileHashes.map((fileHash) => stores.objectStore('recipes').delete(fileHash)),
      ...fileHashes.map((fileHash) => stores.objectStore('about').delete(fileHash)),
    ]);
  });
}

/** Lists all recipes, least recently used first. */
function everything(db: Database): Promise<About[]> {
  return transact(db, STORES, 'readonly', (stores) => stores.objectStore('about').index('usedAt').getAll());
}

/** Drops the least recently used recipes until at most `maxBytes` remain. */
async function keepAtMost(db: Database, maxBytes: number): Promise<void> {
  const all = await everything(db);
  let bytes = bytesOf(all);
  const leaving: string[] = [];
  for (const { fileHash, storedBytes } of all) {
    if (bytes <= maxBytes) break;
    leaving.push(fileHash);
    bytes -= storedBytes;
  }
  await dropRecipes(db, leaving);
}

function isDatabaseError(error: unknown): error is Error {
  return error instanceof DOMException || (error instanceof XetError && error.code === 'TIMEOUT');
}

function bytesOf(all: About[]): number {
  return all.reduce((sum, { storedBytes }) => sum + (isCount(storedBytes) ? storedBytes : 0), 0);
}
