import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';
import { decodeRecipe, encodedLength, encodeIfConsistent } from './recipe-format.ts';
import { overlaps, xorbsOf } from './recipe-index.ts';
import type { RecipeStore } from './recipe-store.ts';

const MIB = 1024 * 1024;

/** Opens recipes in memory. `maxBytes` limits encoded recipes; default: 64 MiB. */
export function memoryRecipeStore(options: { maxBytes?: number } = {}): RecipeStore {
  return new MemoryRecipeStore(options.maxBytes ?? 64 * MIB);
}

class MemoryRecipeStore implements RecipeStore {
  readonly #maxBytes: number;
  /** Encoded, so that callers cannot change them; least recently used first. */
  readonly #recipes = new Map<string, Uint8Array>();
  readonly #xorbs = new Map<string, Map<string, ChunkRange>>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  async get(fileHash: string): Promise<Recipe | undefined> {
    const bytes = this.#recipes.get(fileHash);
    if (!bytes) return undefined;
    this.#recipes.delete(fileHash);
    this.#recipes.set(fileHash, bytes);
    return decodeRecipe(bytes.slice(), fileHash);
  }

  async put(recipe: Recipe): Promise<void> {
    if (
      encodedLength(recipe) > this.#maxBytes ||
      this.#recipes.get(recipe.fileHash)?.length === encodedLength(recipe)
    ) {
      return;
    }
    const bytes = encodeIfConsistent(recipe);
    if (!bytes) return;
    this.#remove(recipe.fileHash);
    for (const oldest of this.#recipes.keys()) {
      if (this.#bytes + bytes.length <= this.#maxBytes) break;
      this.#remove(oldest);
    }
    this.#recipes.set(recipe.fileHash, bytes);
    this.#bytes += bytes.length;
    for (const [xorb, chunks] of xorbsOf(recipe)) {
      const files = this.#xorbs.get(xorb) ?? new Map<string, ChunkRange>();
      this.#xorbs.set(xorb, files.set(recipe.fileHash, chunks));
    }
  }

  async filesWith(xorb: string, chunks?: ChunkRange): Promise<string[]> {
    const files = [...(this.#xorbs.get(xorb) ?? [])];
    return files.filter(([, used]) => !chunks || overlaps(used, chunks)).map(([fileHash]) => fileHash);
  }

  async drop(fileHash: string): Promise<void> {
    this.#remove(fileHash);
  }

  async *list() {
    for (const [fileHash, bytes] of [...this.#recipes]) yield { fileHash, storedBytes: bytes.length };
  }

  async usage() {
    return { bytes: this.#bytes, recipes: this.#recipes.size };
  }

  async clear(): Promise<void> {
    this.#recipes.clear();
    this.#xorbs.clear();
    this.#bytes = 0;
  }

  async close(): Promise<void> {
    await this.clear();
  }

  #remove(fileHash: string): void {
    const bytes = this.#recipes.get(fileHash);
    const recipe = bytes && decodeRecipe(bytes, fileHash);
    if (!recipe) return;
    this.#recipes.delete(fileHash);
    this.#bytes -= bytes.length;
    for (const xorb of xorbsOf(recipe).keys()) {
      const files = this.#xorbs.get(xorb);
      files?.delete(fileHash);
      if (files?.size === 0) this.#xorbs.delete(xorb);
    }
  }
}
