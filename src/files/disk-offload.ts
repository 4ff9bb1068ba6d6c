import type { Verified } from '../core/content-hash.ts';
import type { Recipe } from '../core/recipe.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { RepoId } from '../hub/types.ts';
import type { Result } from '../workers/result.ts';
import type { ExistingFile, HeldFile } from './held-file.ts';
import type { VerifiedFingerprint } from './verified-files.ts';

/** A store of files, and where it is. */
export interface StoreFolders {
  /** Another one for each that is opened: what a store has seen of its folders is not for the next. */
  id: string;
  localDir: string | undefined;
  cacheDir: string;
}

/** A place in a store. */
export interface PlaceInStore {
  store: StoreFolders;
  file: ResolvedFile;
  revision: string;
}

/** Folders of recipes and of notes on verified files; undefined for what is not kept. */
export interface NoteFolders {
  recipes: string | undefined;
  verifiedFiles: string | undefined;
}

/** Disk steps that consist of many file system calls, each as one call with plain data. */
export interface DiskSteps {
  /** As a store finds a file at a commit. */
  find(store: StoreFolders, repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined>;
  /** As a place looks whether the right file is there. */
  existing(place: PlaceInStore): Promise<ExistingFile | undefined>;
  /** Writes a small file, all of it, and gives it its name. `forced` replaces what is there. */
  put(place: PlaceInStore, bytes: Uint8Array, verified: Verified, forced: boolean): Promise<string>;
  /** Fingerprints of files when these steps found or wrote them. */
  looks(files: readonly { path: string; etag: string }[]): Promise<(VerifiedFingerprint | undefined)[]>;
  /** Recipe of a file, if known. */
  recipe(fileHash: string): Promise<Recipe | undefined>;
  /** Keeps how a file is built. */
  keepRecipe(recipe: Recipe): Promise<void>;
}

/** Takes steps on a disk off a thread that has other things to do. */
export interface DiskOffload {
  /** Announces files that will be looked for and written soon. Starts the thread if they are many. */
  expect(files: number): void;
  /** True while the disk thread is available. */
  readonly active: boolean;
  /** Result of a step; `here` runs it on this thread if the disk thread is unavailable or lost. */
  run<Name extends keyof DiskSteps>(
    name: Name,
    args: Parameters<DiskSteps[Name]>,
    here: () => ReturnType<DiskSteps[Name]>,
  ): ReturnType<DiskSteps[Name]>;
  /**
   * Reserves memory for bytes that are handed to the disk thread, until {@link release}. False if the thread or the memory is
   * unavailable.
   */
  tryReserve(bytes: number): boolean;
  release(bytes: number): void;
  /** Waits for what was begun. From then on all is done where it is asked for. */
  close(): Promise<void>;
}

/** A step that is asked for. */
export interface DiskCall {
  name: keyof DiskSteps;
  args: unknown[];
}

/** Service of the disk thread: runs steps in order. */
export interface DiskService {
  /** @param folders the same for all calls. */
  run(folders: NoteFolders, calls: readonly DiskCall[]): Promise<Result<unknown>[]>;
  /** Gives a sign of life. */
  ping(): void;
}
