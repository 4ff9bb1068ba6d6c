import type { SpawnWorker } from '../../../workers/spawn.ts';
import type { ChunkStoreOptions } from './chunk-runs.ts';
import { openIndexedDbChunkStore } from './chunk-store.indexeddb.ts';
import { memoryChunkStore } from './chunk-store.memory.ts';
import { type ChunkStore, forwarding } from './chunk-store.ts';
import { RemoteChunkStore } from './chunk-store.worker.ts';

export interface WebChunkStoreOptions extends ChunkStoreOptions {
  /** What starts a worker that uses the database; without it this thread does. */
  spawnWorker?: SpawnWorker | undefined;
  /** Told once if chunks are kept in memory only. */
  onWarning?: (message: string) => void;
}

/** A page has less memory than disk, and other things to do with it. */
const MEMORY_BYTES = 64 * 1024 * 1024;

/** A chunk store in the browser's database; in memory where that cannot be had, and from the moment it breaks. */
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
    const remote = spawnWorker && (await RemoteChunkStore.open(spawnWorker, name, { maxBytes, onLost }));
    const opened = remote ?? (await openIndexedDbChunkStore(name, { maxBytes, hash, onLost }));
    current ??= opened;
  } catch (error) {
    inMemory(error instanceof Error ? error.message : String(error));
  }
  return forwarding(() => current as ChunkStore);
}
