import { join } from 'node:path';
import { spawnDiskThread } from '../../workers/spawn.node.ts';
import { chunkFile } from '../codec/chunk-file.node.ts';
import { loadCodec } from '../codec.node.ts';
import { open } from '../disk/disk.node.ts';
import { DiskThread } from '../disk/disk-thread.node.ts';
import { diskErrors } from '../repo/disk-errors.node.ts';
import { environment, hubHome, NOWHERE } from '../repo/folders.node.ts';
import { StoreBehind } from './chunk-store.behind.ts';
import { openFolderChunkStore } from './chunk-store.node.ts';
import { FileSources, type SourceFile } from './file-sources.ts';
import { openKnownFiles } from './known-files.node.ts';
import type { OpenTiers } from './open-tiers.ts';
import { openFolderRecipeStore } from './recipe-store.node.ts';
import { Tiers } from './tiers.ts';

const DEFAULT_CHUNK_BYTES = 10 * 1024 ** 3;

/** What the tiers take by default, beside the folders of other Hub clients. */
export function tiersFolder(env: Record<string, string | undefined> = environment): string {
  return env.XETKIT_CACHE || join(hubHome(env) ?? NOWHERE, 'xetkit');
}

export const openNodeTiers: OpenTiers = ({ chunkCache, pool, budget, spawnWorker }) => {
  const { dir = tiersFolder(), maxBytes = DEFAULT_CHUNK_BYTES } = chunkCache || {};
  const hash = async (chunk: Uint8Array) => (await loadCodec()).chunkHash(chunk);
  // Who wants no threads wants none for this either.
  const help = spawnWorker && new DiskThread(spawnDiskThread, dir, budget);
  const known = openKnownFiles(join(dir, 'files'));
  const cut = (path: string, signal: AbortSignal) => diskErrors(path, () => chunkFile(path, signal));
  return new Tiers({
    help,
    recipes: openFolderRecipeStore(join(dir, 'shards'), { help }),
    known,
    chunks:
      chunkCache === false
        ? undefined
        : new StoreBehind(openFolderChunkStore(join(dir, 'chunks'), { maxBytes, hash }), budget),
    chunkLimitBytes: maxBytes,
    folder: dir,
    sources: (recipes) => new FileSources({ known, openFile, cut, pool, budget }, recipes),
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
