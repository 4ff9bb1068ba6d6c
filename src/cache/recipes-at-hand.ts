import type { Recipe, RecipeStore } from './recipes.ts';

/** The same file is usually asked for again at once. */
const MOST_RECIPES = 16;
const WITHOUT_MS = 500;
const MOST_WITHOUT = 64;

/** Keeps the last few recipes of a store, and which files it had none of a moment ago. */
export class RecipesAtHand {
  readonly #store: RecipeStore;
  readonly #recipes = new Map<string, Recipe>();
  /** Until when it is believed that there is none, in milliseconds of this process. */
  readonly #without = new Map<string, number>();

  constructor(store: RecipeStore) {
    this.#store = store;
  }

  async get(fileHash: string): Promise<Recipe | undefined> {
    const atHand = this.#recipes.get(fileHash);
    if (!atHand && (this.#without.get(fileHash) ?? 0) > performance.now()) return undefined;
    const recipe = atHand ?? (await this.#store.get(fileHash));
    if (recipe) this.#remember(recipe);
    // A file is asked for several times on its way: whoever else brings its recipe in that moment is missed.
    else setLast(this.#without, fileHash, performance.now() + WITHOUT_MS, MOST_WITHOUT);
    return recipe;
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
    this.#without.delete(recipe.fileHash);
    setLast(this.#recipes, recipe.fileHash, recipe, MOST_RECIPES);
  }
}

/** Sets an entry as the newest one; of more than `most` the oldest goes. */
function setLast<V>(entries: Map<string, V>, key: string, value: V, most: number): void {
  entries.delete(key);
  entries.set(key, value);
  const [oldest] = entries.keys();
  if (entries.size > most && oldest !== undefined) entries.delete(oldest);
}
