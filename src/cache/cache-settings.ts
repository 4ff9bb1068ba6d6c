import type { SpawnWorker } from '../../workers/spawn.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { MemoryBudget } from '../core/budget.ts';
import type { Opaque } from '../core/opaque.ts';
import type { CacheFolders, LocalCaches } from './local-caches.ts';

/** Place and size of the chunk cache, which keeps chunks of reads that leave no file. */
export interface ChunkCacheOptions {
  /** Limit in bytes, 0 or more; least recently used chunks are evicted first. Default: 10 GiB on disks, 1 GiB in pages. */
  maxBytes?: number;
  /**
   * Folder, in which xetkit uses `chunks`. Default: `XETKIT_CACHE`, else `xetkit` in `HF_HOME`. In pages the beginning
   * of a database name; default: `xetkit`.
   */
  dir?: string;
}

/** Place of recipes: how verified files are built of chunks, which later downloads, reads and uploads use. */
export interface RecipeOptions {
  /** Folder, in which xetkit uses `shards`, or beginning of a database name in pages. Default: as for `chunkCache.dir`. */
  dir?: string;
}

/** Place of the notes on files that were verified, which save hashing them again. */
export interface VerifiedFileOptions {
  /** Folder, in which xetkit uses `files`. Default: as for `chunkCache.dir`. Pages keep no such notes. */
  dir?: string;
}

/** Options of a client that say what is kept on this machine beside files. */
export interface CacheOptions {
  /** Cache for chunks of reads that leave no file. `false` keeps none. */
  chunkCache?: ChunkCacheOptions | false;
  /** Place of recipes, independent of the chunk cache. `false` keeps none. Default: in `chunkCache.dir`. */
  recipes?: RecipeOptions | false;
  /**
   * Place of notes on verified files, independent of the chunk cache. `false` keeps none: existing files are hashed
   * each time they are used. Default: in `chunkCache.dir`.
   */
  verifiedFiles?: VerifiedFileOptions | false;
}

export interface LocalCacheSettings extends CacheOptions {
  pool: CodecPool;
  /** Starts a worker that may keep chunks; undefined where there are none, or none are wanted. */
  spawnWorker: SpawnWorker | undefined;
  budget: MemoryBudget;
  onWarning: (message: string) => void;
}

/** Opens nothing yet: stores touch their folder or database on first use. */
export type OpenLocalCaches = (settings: LocalCacheSettings) => LocalCaches;

/** Caches of a reader: `xetCaches`. */
export interface CacheFactory extends Opaque<'caches'> {}

export const cacheFactory = (open: OpenLocalCaches): CacheFactory => open as unknown as CacheFactory;

export const opensCaches = (factory: CacheFactory): OpenLocalCaches => factory as unknown as OpenLocalCaches;

/** Resolves where each cache is: its own `dir`, else that of the chunk cache, else the default. */
export function cacheFolders(
  { chunkCache, recipes, verifiedFiles }: CacheOptions,
  defaultDir: () => string,
): CacheFolders {
  const shared = (chunkCache ? chunkCache.dir : undefined) ?? defaultDir();
  const dirOf = (options: { dir?: string } | false = {}) => (options === false ? undefined : (options.dir ?? shared));
  return { chunks: dirOf(chunkCache), recipes: dirOf(recipes), verifiedFiles: dirOf(verifiedFiles) };
}
