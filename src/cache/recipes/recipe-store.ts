import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';

export interface RecipeUsage {
  /** Size of the store in bytes. */
  bytes: number;
  recipes: number;
}

/**
 * Recipes by file hash, and an index from xorbs to files. A returned recipe is
 * consistent and is the one that was stored; a damaged one is dropped instead.
 */
export interface RecipeStore {
  get(fileHash: string): Promise<Recipe | undefined>;
  /** True if there is a recipe, possibly a damaged one. Exists where that is cheaper than to read it. */
  has?(fileHash: string): Promise<boolean>;
  /** Stores a recipe. Failures to store (full disk, quota, private window) are not errors. */
  put(recipe: Recipe): Promise<void>;
  /**
   * Returns the hashes of files with a term of this xorb; some of the recipes may be gone. With `chunks`, only files whose use of
   * the xorb, from its first chunk to its last, overlaps that range: of 10,000 small files in one xorb, a
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
