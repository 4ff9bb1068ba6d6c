import type { SpawnWorker } from '../../../workers/spawn.ts';
import type { ChunkStoreOptions } from './chunk-runs.ts';
import { openIndexedDbChunkStore } from './chunk-store.indexeddb.ts';
import { memoryChunkStore } from './chunk-store.memory.ts';
import { type ChunkStore, forwarding } from './chunk-store.ts';
import { openWorkerChunkStore } from './chunk-store.worker.ts';

export interface WebChunkStoreOptions extends ChunkStoreOptions {
  /** Starts the worker that uses the database. Without it, this thread does. */
  spawnWorker?: SpawnWorker | undefined;
  /** Called once if chunks are cached in memory only. */
  onWarning?: (message: string) => void;
}

/** Limit in memory, which pages have less of than disk space. */
const MEMORY_BYTES = 64 * 1024 * 1024;

/** Opens a chunk store in the browser's database, or in memory where that is refused and once it breaks. */
export async function openWebChunkStore(
  name: string,
  { maxBytes, hash, spawnWorker, onWarning }: WebChunkStoreOptions,
): Promise<ChunkStore> {
  let current: ChunkStore | undefined;
  const inMemory = (reason: string) => {
    current = memoryChunkStore({ maxBytes: Math.min(maxBytes, MEMORY_BYTES), hash });
    onWarning?.(`Chunks are cached in memory only, until the page is closed: ${reason}`);
    return current;
  };
  const onLost = (reason: string) => void inMemory(`the browser's database was lost (${reason}).`);
  try {
    const remote = spawnWorker && (await openWorkerChunkStore(spawnWorker, name, { maxBytes, onLost }));
    const opened = remote ?? (await openIndexedDbChunkStore(name, { maxBytes, hash, onLost }));
    current ??= opened;
  } catch (error) {
    inMemory(error instanceof Error ? error.message : String(error));
  }
  return forwarding(() => current as ChunkStore);
}
