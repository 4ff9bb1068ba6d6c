import { join } from 'node:path';
import { spawnDiskThread } from '../../workers/spawn.node.ts';
import type { OpenLocalCaches } from '../cache/cache-settings.ts';
import { openFolderChunkStore } from '../cache/chunks/chunk-store.node.ts';
import { WriteBehindStore } from '../cache/chunks/write-behind-store.ts';
import { FileSources, type SourceFile } from '../cache/file-sources.ts';
import { LocalCaches } from '../cache/local-caches.ts';
import { openFolderRecipeStore } from '../cache/recipes/recipe-store.node.ts';
import { chunkFile } from '../codec/chunk-file.node.ts';
import { loadCodec } from '../codec/load.node.ts';
import { environment } from '../core/env.node.ts';
import { DiskThread } from '../files/disk-thread.node.ts';
import { openKnownFiles } from '../files/verified-files.node.ts';
import { open } from '../fs/disk.node.ts';
import { diskErrors } from '../fs/disk-errors.node.ts';
import { hubHome, NOWHERE } from '../fs/env-folders.node.ts';

const DEFAULT_CHUNK_BYTES = 10 * 1024 ** 3;

/** What the caches take by default, beside the folders of other Hub clients. */
export function xetkitFolder(env: Record<string, string | undefined> = environment): string {
  return env.XETKIT_CACHE || join(hubHome(env) ?? NOWHERE, 'xetkit');
}

export const openCaches: OpenLocalCaches = ({ chunkCache, pool, budget, spawnWorker }) => {
  const { dir = xetkitFolder(), maxBytes = DEFAULT_CHUNK_BYTES } = chunkCache || {};
  const hash = async (chunk: Uint8Array) => (await loadCodec()).chunkHash(chunk);
  // Who wants no threads wants none for this either.
  const help = spawnWorker && new DiskThread(spawnDiskThread, dir, budget);
  const known = openKnownFiles(join(dir, 'files'));
  const cut = (path: string, signal: AbortSignal) => diskErrors(path, () => chunkFile(path, signal));
  return new LocalCaches({
    help,
    recipes: openFolderRecipeStore(join(dir, 'shards'), { help }),
    known,
    chunks:
      chunkCache === false
        ? undefined
        : new WriteBehindStore(openFolderChunkStore(join(dir, 'chunks'), { maxBytes, hash }), budget),
    chunkLimitBytes: maxBytes,
    folder: dir,
    sources: (recipes) => new FileSources({ known, openFile, chunkFile: cut, pool, budget }, recipes),
    budget,
  });
};

async function openFile(path: string): Promise<SourceFile> {
  const file = await open(path, 'r');
  return {
    async read(start, into) {
      const { bytesRead } = await file.read(into, 0, into.length, start);
      return into.subarray(0, bytesRead);
    },
    close: () => file.close(),
  };
}
