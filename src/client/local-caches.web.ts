import type { OpenLocalCaches } from '../cache/cache-settings.ts';
import type { ChunkRun, ChunkStore } from '../cache/chunks/chunk-store.ts';
import { openWebChunkStore } from '../cache/chunks/chunk-store.web.ts';
import { WriteBehindStore } from '../cache/chunks/write-behind-store.ts';
import { LocalCaches } from '../cache/local-caches.ts';
import { openWebRecipeStore } from '../cache/recipes/recipe-store.web.ts';
import { Codec } from '../codec/codec.ts';
import type { ChunkRange } from '../core/ranges.ts';
import { memoryKnownFiles } from '../files/verified-files.memory.ts';

const DEFAULT_CHUNK_BYTES = 1024 ** 3;

/** In IndexedDB, in memory where that is refused. Codec work for it is little and is done on the calling thread. */
export const openCaches: OpenLocalCaches = ({ chunkCache, name, spawnWorker, budget, onWarning }) => {
  const { dir = name ?? 'xetkit', maxBytes = DEFAULT_CHUNK_BYTES } = chunkCache || {};
  const hash = async (chunk: Uint8Array) => (await Codec.load()).chunkHash(chunk);
  return new LocalCaches({
    recipes: openWebRecipeStore(`${dir}-shards`, { onWarning }),
    known: memoryKnownFiles(),
    chunks:
      chunkCache === false
        ? undefined
        : new WriteBehindStore(
            openedLater(() => openWebChunkStore(`${dir}-chunks`, { maxBytes, hash, spawnWorker, onWarning })),
            budget,
          ),
    chunkLimitBytes: maxBytes,
    folder: undefined,
    budget,
  });
};

/** A store that is opened by the first call. */
function openedLater(open: () => Promise<ChunkStore>): ChunkStore {
  let opened: Promise<ChunkStore> | undefined;
  const store = () => {
    opened ??= open();
    return opened;
  };
  return {
    find: async (xorb: string, chunks: ChunkRange) => (await store()).find(xorb, chunks),
    records: async (xorb: string, chunks: ChunkRange) => (await store()).records(xorb, chunks),
    read: async (xorb: string, chunks: ChunkRange) => (await store()).read(xorb, chunks),
    put: async (xorb: string, run: ChunkRun, given?: boolean) => (await store()).put(xorb, run, given),
    drop: async (xorb: string) => (await store()).drop(xorb),
    usage: async () => (await store()).usage(),
    prune: async (bytes: number) => (await store()).prune(bytes),
    clear: async () => (await store()).clear(),
    close: async () => (await opened)?.close(),
  };
}
