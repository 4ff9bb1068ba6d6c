import type { RecipeStore } from '../cache/recipes/recipe-store.ts';
import { type ChunkRecords, chunkCount, chunkHashes, chunkLength, chunkSlice } from '../core/chunks.ts';
import { contains } from '../core/ranges.ts';
import type { Recipe, RecipeTerm } from '../core/recipe.ts';
import { ChunkTable } from './chunk-table.ts';

/** The terms that a CAS has for a file now, or undefined where it does not know it. */
export type TermsOnCas = (recipe: Recipe, signal: AbortSignal) => Promise<readonly RecipeTerm[] | undefined>;

/** A term of a recipe, as far as it can be told apart without its xorb. */
interface Candidate {
  recipe: Recipe;
  term: RecipeTerm;
  records: ChunkRecords;
}

/**
 * Chunks of files that were downloaded or uploaded before. A recipe does not say on which server its xorbs are, nor
 * whether they still are: only when a file shares a chunk with it the CAS is asked, once, and what it does not
 * confirm is not used.
 */
export class KnownRecipes {
  readonly #candidates: Candidate[] = [];
  /** Its xorb names are positions among the candidates. */
  readonly #table = new ChunkTable();
  readonly #asked = new Map<Recipe, Promise<Candidate[]>>();
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

  /** Asks about recipes that have some of these chunks; what is confirmed and was not given before goes to `onKnown`. */
  async confirm(
    records: ChunkRecords,
    onKnown: (xorb: string, first: number, records: ChunkRecords) => void,
    signal: AbortSignal,
  ): Promise<void> {
    for (const recipe of this.#sharing(records)) {
      const asked = this.#asked.get(recipe);
      const confirmed = asked ?? this.#ask(recipe, signal);
      this.#asked.set(recipe, confirmed);
      const candidates = await confirmed;
      if (!asked) for (const { term, records } of candidates) onKnown(term.xorb, term.chunks.start, records);
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

  async #ask(recipe: Recipe, signal: AbortSignal): Promise<Candidate[]> {
    const terms = (await this.#termsOnCas(recipe, signal)) ?? [];
    return this.#candidates.filter(
      (candidate) =>
        candidate.recipe === recipe &&
        terms.some(({ xorb, chunks }) => xorb === candidate.term.xorb && contains(chunks, candidate.term.chunks)),
    );
  }
}

/**
 * Recipes to look for chunks in: of the files that were named, such as earlier versions, then any others, up to so
 * many bytes as the store counts them. The store has no index from chunks to recipes, and one would be as large as they are.
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
