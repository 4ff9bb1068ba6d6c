import { openFolderRecipeStore } from '../cache/recipes/recipe-store.node.ts';
import { noRecipes } from '../cache/recipes/recipe-store.ts';
import { NO_CHUNKS } from '../core/chunks.ts';
import { setRecent } from '../core/lru.ts';
import { openRepoStore } from '../files/disk/repo-store.node.ts';
import type {
  DiskCall,
  DiskService,
  DiskSteps,
  NoteFolders,
  PlaceInStore,
  StoreFolders,
} from '../files/disk-offload.ts';
import type { RepoStore } from '../files/place.ts';
import { memoryVerifiedFiles } from '../files/verified-files.memory.ts';
import { openVerifiedFiles } from '../files/verified-files.node.ts';
import { capture } from '../workers/result.ts';

/** One that was let go of is opened again. */
const MAX_STORES = 8;

/** Steps on the disk, taken by this thread. */
export function diskService(): DiskService {
  let steps: DiskSteps | undefined;
  return {
    ping: () => undefined,
    run: (folders, calls) => {
      steps ??= stepsIn(folders);
      const all = steps;
      const take = ({ name, args }: DiskCall) => (all[name] as (...args: unknown[]) => Promise<unknown>)(...args);
      return Promise.all(calls.map((call) => capture(() => take(call))));
    },
  };
}

function stepsIn(folders: NoteFolders): DiskSteps {
  const known = folders.verifiedFiles === undefined ? memoryVerifiedFiles() : openVerifiedFiles(folders.verifiedFiles);
  const recipes = folders.recipes === undefined ? noRecipes : openFolderRecipeStore(folders.recipes);
  const stores = new Map<string, RepoStore>();
  // Whoever asked is told of an abort there.
  const never = new AbortController().signal;
  const storeIn = ({ id, localDir, cacheDir }: StoreFolders) => {
    const store = stores.get(id) ?? openRepoStore({ localDir, cacheDir, known });
    setRecent(stores, id, store, MAX_STORES);
    return store;
  };
  const placeOf = ({ store, file, revision }: PlaceInStore) => storeIn(store).place(file, revision);
  return {
    find: (store, repo, commit, path) => storeIn(store).find(repo, commit, path),
    existing: (place) => placeOf(place).existing(never),
    put: async (place, bytes, verified, forced) => {
      const sink = await placeOf(place).openSink({ signal: never, onWait: () => undefined, resume: !forced });
      try {
        await sink.write(0, bytes, NO_CHUNKS);
        return await sink.publish(verified);
      } finally {
        await sink.close();
      }
    },
    looks: async (files) => Promise.all(files.map(({ path, etag }) => known.snapshots?.look(path, etag))),
    recipe: (fileHash) => recipes.get(fileHash),
    keepRecipe: (recipe) => recipes.put(recipe),
  };
}
