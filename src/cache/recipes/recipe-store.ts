import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';

export interface RecipeUsage {
  /** Bytes that the store takes. */
  bytes: number;
  recipes: number;
}

/**
 * The shard tier: recipes by file hash, and which files have chunks of a xorb. A recipe that it gives is
 * consistent in itself and is the one that was put in; a damaged one is dropped and not given.
 */
export interface RecipeStore {
  get(fileHash: string): Promise<Recipe | undefined>;
  /** True if a recipe exists, without reading it, so it may be damaged. Undefined if that costs as much as reading. */
  has?(fileHash: string): Promise<boolean>;
  /** Keeps a recipe. One that cannot be kept (full disk, quota, private window) is no error. */
  put(recipe: Recipe): Promise<void>;
  /**
   * File hashes of recipes that have a term of this xorb; some may be gone. With `chunks`, only those whose use of
   * the xorb, from its first chunk to its last, meets that range: of ten thousand small files in one xorb a
   * planner then gets the few that matter.
   */
  filesWith(xorb: string, chunks?: ChunkRange): Promise<string[]>;
  drop(fileHash: string): Promise<void>;
  list(): AsyncIterable<{ fileHash: string; storedBytes: number }>;
  usage(): Promise<RecipeUsage>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** The store of a client that keeps no recipes. */
export const noRecipes: RecipeStore = {
  get: async () => undefined,
  put: async () => undefined,
  filesWith: async () => [],
  drop: async () => undefined,
  list: async function* () {},
  usage: async () => ({ bytes: 0, recipes: 0 }),
  clear: async () => undefined,
  close: async () => undefined,
};
