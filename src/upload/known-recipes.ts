import type { RecipeStore } from '../cache/recipes/recipe-store.ts';
import { type ChunkRecords, chunkCount, chunkHashes, chunkLength, chunkSlice } from '../core/chunks.ts';
import { contains } from '../core/ranges.ts';
import type { Recipe, RecipeTerm } from '../core/recipe.ts';
import { ChunkTable } from './chunk-index.ts';

/** The terms that the CAS has for a file; undefined if it does not know the file. */
type TermsOnCas = (recipe: Recipe, signal: AbortSignal) => Promise<readonly RecipeTerm[] | undefined>;

/** A term of a recipe that the CAS has not confirmed yet. */
interface RecipeTermCandidate {
  recipe: Recipe;
  term: RecipeTerm;
  records: ChunkRecords;
}

/**
 * Chunks of files that were downloaded or uploaded before. A recipe does not say on which server its xorbs are, or whether
 * they still exist. So when a file shares a chunk with a recipe, the CAS is asked once, and only confirmed terms are used.
 */
export class KnownRecipes {
  readonly #candidates: RecipeTermCandidate[] = [];
  /** Its xorb names are indices of candidates. */
  readonly #table = new ChunkTable();
  readonly #confirmed = new Map<Recipe, Promise<RecipeTermCandidate[]>>();
  readonly #termsOnCas: TermsOnCas;

  constructor(recipes: readonly Recipe[], termsOnCas: TermsOnCas) {
    this.#termsOnCas = termsOnCas;
    for (const recipe of recipes) {
      let at = 0;
      for (const term of recipe.terms) {
        const end = at + term.chunks.end - term.chunks.start;
        const records = chunkSlice(recipe.records, at, end);
        this.#table.add(this.#candidates.length, 0, records);
        this.#candidates.push({ recipe, term, records });
        at = end;
      }
    }
  }

  /** Asks about recipes that share chunks with these, and passes newly confirmed chunks to `onKnown`. */
  async confirm(
    records: ChunkRecords,
    onKnown: (xorb: string, first: number, records: ChunkRecords) => void,
    signal: AbortSignal,
  ): Promise<void> {
    for (const recipe of this.#sharing(records)) {
      const before = this.#confirmed.get(recipe);
      const confirming = before ?? this.#confirm(recipe, signal);
      this.#confirmed.set(recipe, confirming);
      const candidates = await confirming;
      if (!before) for (const { term, records } of candidates) onKnown(term.xorb, term.chunks.start, records);
    }
  }

  #sharing(records: ChunkRecords): Set<Recipe> {
    const found = new Set<Recipe>();
    if (this.#candidates.length === 0) return found;
    const hashes = chunkHashes(records);
    for (let position = 0; position < chunkCount(records); position++) {
      const place = this.#table.find({ hashes, position, length: chunkLength(records, position) });
      const candidate = place && this.#candidates[Number(place.xorb)];
      if (candidate) found.add(candidate.recipe);
    }
    return found;
  }

  async #confirm(recipe: Recipe, signal: AbortSignal): Promise<RecipeTermCandidate[]> {
    const terms = (await this.#termsOnCas(recipe, signal)) ?? [];
    return this.#candidates.filter(
      (candidate) =>
        candidate.recipe === recipe &&
        terms.some(({ xorb, chunks }) => xorb === candidate.term.xorb && contains(chunks, candidate.term.chunks)),
    );
  }
}

/**
 * Reads recipes to search for chunks: those of the given files, such as earlier versions, then others, up to `maxBytes` in
 * the store's accounting. The store has no index from chunks to recipes; it would be as large as the recipes.
 */
export async function readRecipes(
  store: Pick<RecipeStore, 'get' | 'list'>,
  likely: readonly string[],
  maxBytes: number,
): Promise<Recipe[]> {
  const found = new Map<string, Recipe>();
  const read = async (fileHash: string) => {
    const recipe = found.has(fileHash) ? undefined : await store.get(fileHash);
    if (recipe) found.set(fileHash, recipe);
  };
  for (const fileHash of likely) await read(fileHash);
  let bytes = 0;
  for await (const { fileHash, storedBytes } of store.list()) {
    bytes += storedBytes;
    if (bytes > maxBytes) break;
    await read(fileHash);
  }
  return [...found.values()];
}
