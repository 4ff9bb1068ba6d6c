import { setRecent } from '../../core/lru.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';
import { NegativeCache } from '../negative-cache.ts';
import { noRecipes, type RecipeStore } from './recipe-store.ts';

/** Small, because the same file is usually looked up again at once. */
const MAX_RECIPES = 16;

/** The last few recipes of a store in memory, and the files without one. */
export class RecipeCache {
  readonly #store: RecipeStore;
  readonly #recipes = new Map<string, Recipe>();
  readonly #missing = new NegativeCache();

  constructor(store: RecipeStore) {
    this.#store = store;
  }

  async get(fileHash: string): Promise<Recipe | undefined> {
    const atHand = this.#recipes.get(fileHash);
    if (!atHand && this.#missing.has(fileHash)) return undefined;
    const recipe = atHand ?? (await this.#store.get(fileHash));
    if (recipe) this.#remember(recipe);
    else this.#missing.add(fileHash);
    return recipe;
  }

  filesWith(xorb: string, chunks?: ChunkRange): Promise<string[]> {
    return this.#store.filesWith(xorb, chunks);
  }

  async put(recipe: Recipe): Promise<void> {
    await this.#store.put(recipe);
    this.#remember(recipe);
  }

  async drop(fileHash: string): Promise<void> {
    this.#recipes.delete(fileHash);
    await this.#store.drop(fileHash);
  }

  #remember(recipe: Recipe): void {
    if (this.#store === noRecipes) return;
    this.#missing.delete(recipe.fileHash);
    setRecent(this.#recipes, recipe.fileHash, recipe, MAX_RECIPES);
  }
}
