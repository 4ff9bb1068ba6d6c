import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';
import { openIndexedDbRecipeStore } from './recipe-store.indexeddb.ts';
import { memoryRecipeStore } from './recipe-store.memory.ts';
import type { RecipeStore } from './recipe-store.ts';

export interface WebRecipeOptions {
  /** Limit for encoded recipes in bytes. Default: 256 MiB. */
  maxBytes?: number;
  /** Called once if recipes cannot be kept beyond the life of the page. */
  onWarning?: (message: string) => void;
}

/**
 * Opens recipes in IndexedDB on the first call, or in memory where that is refused (private window, sandboxed
 * frame, policy) and once the database stops working (its data was deleted, or the browser closed it).
 */
export function openWebRecipeStore(name: string, options: WebRecipeOptions = {}): RecipeStore {
  return new WebRecipeStore(name, options);
}

class WebRecipeStore implements RecipeStore {
  readonly #name: string;
  readonly #options: WebRecipeOptions;
  #store: Promise<RecipeStore> | undefined;
  #degraded = false;

  constructor(name: string, options: WebRecipeOptions) {
    this.#name = name;
    this.#options = options;
  }

  async get(fileHash: string): Promise<Recipe | undefined> {
    return (await this.#current()).get(fileHash);
  }

  async put(recipe: Recipe): Promise<void> {
    const store = await this.#current();
    await store.put(recipe);
    const now = await this.#current();
    if (now !== store) await now.put(recipe); // it broke over this one
  }

  async filesWith(xorb: string, chunks?: ChunkRange): Promise<string[]> {
    return (await this.#current()).filesWith(xorb, chunks);
  }

  async drop(fileHash: string): Promise<void> {
    await (await this.#current()).drop(fileHash);
  }

  async *list() {
    yield* (await this.#current()).list();
  }

  async usage() {
    return (await this.#current()).usage();
  }

  async clear(): Promise<void> {
    await (await this.#current()).clear();
  }

  async close(): Promise<void> {
    await (await this.#store)?.close();
  }

  #current(): Promise<RecipeStore> {
    this.#store ??= openIndexedDbRecipeStore(this.#name, {
      maxBytes: this.#options.maxBytes,
      onBroken: (error) => {
        this.#store = Promise.resolve(this.#degrade(error));
      },
    }).catch((error: unknown) => this.#degrade(error));
    return this.#store;
  }

  #degrade(error: unknown): RecipeStore {
    if (!this.#degraded) {
      this.#degraded = true;
      const why = error instanceof Error ? error.message : String(error);
      this.#options.onWarning?.(
        `This browser does not let xetkit remember how files are built (${why}): it knows until the page is closed.`,
      );
    }
    return memoryRecipeStore();
  }
}
