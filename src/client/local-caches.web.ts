import { cacheFolders, type OpenLocalCaches } from '../cache/cache-settings.ts';
import { type ChunkStore, forwarding } from '../cache/chunks/chunk-store.ts';
import { openWebChunkStore } from '../cache/chunks/chunk-store.web.ts';
import { writeBehindStore } from '../cache/chunks/write-behind-store.ts';
import { LocalCaches } from '../cache/local-caches.ts';
import { noRecipes } from '../cache/recipes/recipe-store.ts';
import { openWebRecipeStore } from '../cache/recipes/recipe-store.web.ts';
import { Codec } from '../codec/codec.ts';
import { memoryVerifiedFiles } from '../files/verified-files.memory.ts';

const DEFAULT_CHUNK_BYTES = 1024 ** 3;

/** Opens caches in IndexedDB, in memory where that is refused. The calling thread does the little codec work. */
export const openCaches: OpenLocalCaches = ({ spawnWorker, budget, onWarning, ...options }) => {
  const { chunks, recipes } = cacheFolders(options, () => 'xetkit');
  const { maxBytes = DEFAULT_CHUNK_BYTES } = options.chunkCache || {};
  const hash = async (chunk: Uint8Array) => (await Codec.load()).chunkHash(chunk);
  const openChunks = () => openWebChunkStore(`${chunks}-chunks`, { maxBytes, hash, spawnWorker, onWarning });
  return new LocalCaches({
    recipes: recipes === undefined ? noRecipes : openWebRecipeStore(`${recipes}-shards`, { onWarning }),
    known: memoryVerifiedFiles(),
    chunks: chunks === undefined ? undefined : writeBehindStore(lazily(openChunks), budget),
    chunkLimitBytes: maxBytes,
    folders: undefined,
    budget,
  });
};

/** A store that its first call opens. */
function lazily(open: () => Promise<ChunkStore>): ChunkStore {
  let opened: Promise<ChunkStore> | undefined;
  const store = () => {
    opened ??= open();
    return opened;
  };
  return { ...forwarding(store), close: async () => (await opened)?.close() };
}
