import { join } from 'node:path';
import { spawnDiskThread } from '../../workers/spawn.node.ts';
import { cacheFolders, type OpenLocalCaches } from '../cache/cache-settings.ts';
import { openFolderChunkStore } from '../cache/chunks/chunk-store.node.ts';
import { writeBehindStore } from '../cache/chunks/write-behind-store.ts';
import { FileSources, type SourceFile } from '../cache/file-sources.ts';
import { LocalCaches } from '../cache/local-caches.ts';
import { openFolderRecipeStore } from '../cache/recipes/recipe-store.node.ts';
import { noRecipes } from '../cache/recipes/recipe-store.ts';
import { chunkFile } from '../codec/chunk-file.node.ts';
import { loadCodec } from '../codec/load.node.ts';
import { environment } from '../core/env.node.ts';
import { DiskThread } from '../files/disk-thread.node.ts';
import { memoryVerifiedFiles } from '../files/verified-files.memory.ts';
import { openVerifiedFiles } from '../files/verified-files.node.ts';
import { open } from '../fs/disk.node.ts';
import { diskErrors } from '../fs/disk-errors.node.ts';
import { hubHome, NOWHERE } from '../fs/env-folders.node.ts';

const DEFAULT_CHUNK_BYTES = 10 * 1024 ** 3;

/** Default folder of xetkit's own caches, beside the folders of other Hub clients. */
export function xetkitFolder(env: Record<string, string | undefined> = environment): string {
  return env.XETKIT_CACHE || join(hubHome(env) ?? NOWHERE, 'xetkit');
}

export const openCaches: OpenLocalCaches = ({ pool, budget, spawnWorker, ...options }) => {
  const dirs = cacheFolders(options, xetkitFolder);
  const below = (dir: string | undefined, name: string) => (dir === undefined ? undefined : join(dir, name));
  const folders = {
    chunks: below(dirs.chunks, 'chunks'),
    recipes: below(dirs.recipes, 'shards'),
    verifiedFiles: below(dirs.verifiedFiles, 'files'),
  };
  const { maxBytes = DEFAULT_CHUNK_BYTES } = options.chunkCache || {};
  const hash = async (chunk: Uint8Array) => (await loadCodec()).chunkHash(chunk);
  // A client without workers gets no disk thread either.
  const help = spawnWorker && new DiskThread(spawnDiskThread, folders, budget);
  const known = folders.verifiedFiles === undefined ? memoryVerifiedFiles() : openVerifiedFiles(folders.verifiedFiles);
  const cut = (path: string, signal: AbortSignal) => diskErrors(path, () => chunkFile(path, signal));
  // A file serves as a source by its recipe and by the note that it is unchanged.
  const hasSources = folders.recipes !== undefined && folders.verifiedFiles !== undefined;
  return new LocalCaches({
    help,
    recipes: folders.recipes === undefined ? noRecipes : openFolderRecipeStore(folders.recipes, { help }),
    known,
    chunks:
      folders.chunks === undefined
        ? undefined
        : writeBehindStore(openFolderChunkStore(folders.chunks, { maxBytes, hash }), budget),
    chunkLimitBytes: maxBytes,
    folders: dirs,
    sources: hasSources
      ? (recipes) => new FileSources({ known, openFile, chunkFile: cut, pool, budget }, recipes)
      : undefined,
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
