import type { SpawnWorker } from '../../workers/spawn.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { MemoryBudget } from '../core/budget.ts';
import type { LocalCaches } from './local-caches.ts';

/** How much is remembered, and where. */
export interface ChunkCacheOptions {
  /** What chunks of reads that leave no file may take, in bytes. Default: 10 GiB on disks, 1 GiB in pages. */
  maxBytes?: number;
  /**
   * Folder for it and for what is known of files. Default: `XETKIT_CACHE`, else `xetkit` in `HF_HOME`. In browsers the
   * name of a database.
   */
  dir?: string;
}

export interface LocalCacheSettings {
  /** False keeps no chunks; how files are built is remembered all the same. */
  chunkCache: ChunkCacheOptions | false | undefined;
  /** In browsers: what the database is called, unless `chunkCache.dir` says. */
  name: string | undefined;
  pool: CodecPool;
  /** What starts a worker that may keep chunks; undefined where there are none, or none are wanted. */
  spawnWorker: SpawnWorker | undefined;
  budget: MemoryBudget;
  onWarning: (message: string) => void;
}

/** Opens nothing yet: stores touch their folder or database when they are first used. */
export type OpenLocalCaches = (settings: LocalCacheSettings) => LocalCaches;

/** What remembers chunks, and how files are built. Handed in as `caches`. */
export type CacheWork = OpenLocalCaches;
