import { join } from 'node:path';
import { openKnownFiles } from '../cache/known-files.node.ts';
import { openFolderRecipeStore } from '../cache/recipe-store.node.ts';
import { isXetError, type XetErrorCode } from '../errors.ts';
import { setLatest } from '../latest.ts';
import type { RepoStore } from '../repo/place.ts';
import { openRepoStore } from '../repo/repo-store.node.ts';
import type { DiskSteps, PlaceInStore, StoreFolders } from './disk-help.ts';

/** A step that is asked for. */
export interface DiskCall {
  name: keyof DiskSteps;
  args: unknown[];
}

/** What a step came to. Failures are data, as the class and the code of an error do not survive the way. */
export type DiskAnswer = { value: unknown } | { error: { code: XetErrorCode; message: string } } | { mistake: string };

/** What the thread does: steps in the order in which they were asked for, as many as there are. */
export interface DiskService {
  /** @param folder what is remembered of files is there. */
  run(folder: string, calls: readonly DiskCall[]): Promise<DiskAnswer[]>;
}

/** One that was let go of is opened again. */
const MOST_STORES = 8;
const NO_CHUNKS = new Uint8Array();

/** Steps on the disk, taken by this thread. */
export function diskService(): DiskService {
  const opened = new Map<string, DiskSteps>();
  return {
    run: (folder, calls) => {
      let steps = opened.get(folder);
      if (!steps) {
        steps = stepsIn(folder);
        opened.set(folder, steps);
      }
      return Promise.all(calls.map((call) => answer(steps, call)));
    },
  };
}

async function answer(steps: DiskSteps, { name, args }: DiskCall): Promise<DiskAnswer> {
  try {
    return { value: await (steps[name] as (...args: unknown[]) => Promise<unknown>)(...args) };
  } catch (error) {
    if (isXetError(error)) return { error: { code: error.code, message: error.message } };
    return { mistake: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function stepsIn(folder: string): DiskSteps {
  const known = openKnownFiles(join(folder, 'files'));
  const recipes = openFolderRecipeStore(join(folder, 'shards'));
  const stores = new Map<string, RepoStore>();
  // Whoever asked is told of an abort there.
  const never = new AbortController().signal;
  const storeIn = ({ id, localDir, cacheDir }: StoreFolders) => {
    const store = stores.get(id) ?? openRepoStore({ localDir, cacheDir, known });
    setLatest(stores, id, store, MOST_STORES);
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
    recipe: (fileHash) => recipes.get(fileHash),
    keepRecipe: (recipe) => recipes.put(recipe),
  };
}
