import type { PlacedTerm } from '../../cas/reconstruction.ts';
import { type ChunkRecords, chunkCount, chunkSlice, totalLength } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe, RecipeTerm } from '../../core/recipe.ts';

/** Consecutive chunks of a xorb with known hashes and lengths, and their place in a file. */
export interface RecipeRun {
  chunks: ChunkRange;
  records: ChunkRecords;
  /** Offset of these bytes in the file of the recipe. */
  fileOffset: number;
}

/** Index of a recipe: a file may repeat a term 100,000 times. */
interface RunIndex {
  /** By xorb, in file order, without repetitions. */
  byXorb: Map<string, RecipeRun[]>;
  /** By offset in the file. */
  byOffset: Map<number, RecipeRun & { xorb: string }>;
}

const runIndexes = new WeakMap<Recipe, RunIndex>();

function indexRuns(recipe: Recipe): RunIndex {
  const known = runIndexes.get(recipe);
  if (known) return known;
  const runs: RunIndex = { byXorb: new Map(), byOffset: new Map() };
  const seen = new Map<string, RecipeRun>();
  let index = 0;
  let fileOffset = 0;
  for (const { xorb, chunks, unpackedLength } of recipe.terms) {
    const end = index + chunks.end - chunks.start;
    const run = { xorb, chunks, records: chunkSlice(recipe.records, index, end), fileOffset };
    index = end;
    fileOffset += unpackedLength;
    if (unpackedLength > 0) runs.byOffset.set(run.fileOffset, run);
    const key = `${xorb} ${chunks.start} ${chunks.end}`;
    const before = seen.get(key);
    if (before && equalBytes(before.records, run.records)) continue;
    seen.set(key, run);
    const ofXorb = runs.byXorb.get(xorb);
    if (ofXorb) ofXorb.push(run);
    else runs.byXorb.set(xorb, [run]);
  }
  runIndexes.set(recipe, runs);
  return runs;
}

/** Returns the runs of a xorb in a recipe: one per distinct term, in file order. The records are views. */
export function recipeRuns(recipe: Recipe, xorb: string): readonly RecipeRun[] {
  return indexRuns(recipe).byXorb.get(xorb) ?? [];
}

/** Returns the run of a xorb at an offset in the file of the recipe. */
export function recipeRunAt(recipe: Recipe, xorb: string, fileOffset: number): RecipeRun | undefined {
  const run = indexRuns(recipe).byOffset.get(fileOffset);
  return run?.xorb === xorb ? run : undefined;
}

/** True if terms make up the whole file, and each is as long as its chunks. */
export function isCompleteRecipe(terms: readonly RecipeTerm[], size: number, records: ChunkRecords): boolean {
  let index = 0;
  let bytes = 0;
  for (const { chunks, unpackedLength } of terms) {
    const end = index + chunks.end - chunks.start;
    if (end > chunkCount(records) || totalLength(chunkSlice(records, index, end)) !== unpackedLength) return false;
    index = end;
    bytes += unpackedLength;
  }
  return bytes === size && index === chunkCount(records);
}

/** Byte for byte. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return a.length === b.length;
}

/** True if consecutive chunks of a xorb from `first` agree with the recipe wherever it uses them. */
export function matchesRecipe(recipe: Recipe, xorb: string, first: number, records: ChunkRecords): boolean {
  const end = first + chunkCount(records);
  return recipeRuns(recipe, xorb).every((run) => {
    const from = Math.max(first, run.chunks.start);
    const to = Math.min(end, run.chunks.end);
    if (from >= to) return true;
    return equalBytes(
      chunkSlice(records, from - first, to - first),
      chunkSlice(run.records, from - run.chunks.start, to - run.chunks.start),
    );
  });
}

/** True if the file has all chunks of a term in one run. */
export function coversTerm(recipe: Recipe, { xorb, chunks }: RecipeTerm): boolean {
  return recipeRuns(recipe, xorb).some((run) => run.chunks.start <= chunks.start && chunks.end <= run.chunks.end);
}

/** Returns the place of chunks of a term in its file, by the file's own recipe. */
export function locateRun(recipe: Recipe, term: PlacedTerm, range: ChunkRange) {
  const run = recipeRunAt(recipe, term.xorb, term.at);
  if (!run || run.chunks.start > range.start || range.end > run.chunks.end) return undefined;
  const before = range.start - run.chunks.start;
  const records = chunkSlice(run.records, before, range.end - run.chunks.start);
  return { start: run.fileOffset + totalLength(chunkSlice(run.records, 0, before)), records };
}
