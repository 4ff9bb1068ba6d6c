import type { PlacedTerm } from '../../cas/reconstruction.ts';
import { type ChunkRecords, chunkCount, chunkSlice, totalLength } from '../../core/chunks.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe, RecipeTerm } from '../../core/recipe.ts';
import { recipeRunAt, recipeRuns } from '../xorb-knowledge.ts';

/** Whether the terms are those of the whole file, each as long as its chunks. */
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
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Whether chunks of a xorb, in a row from `first` on, are those that the recipe has wherever it uses them. */
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

/** Whether the file has all chunks of a term in one run. */
export function coversTerm(recipe: Recipe, { xorb, chunks }: RecipeTerm): boolean {
  return recipeRuns(recipe, xorb).some((run) => run.chunks.start <= chunks.start && chunks.end <= run.chunks.end);
}

/** Where chunks of a term lie in its file, by the file's own recipe. */
export function locateRun(recipe: Recipe, term: PlacedTerm, range: ChunkRange) {
  const run = recipeRunAt(recipe, term.xorb, term.at);
  if (!run || run.chunks.start > range.start || range.end > run.chunks.end) return undefined;
  const before = range.start - run.chunks.start;
  const records = chunkSlice(run.records, before, range.end - run.chunks.start);
  return { start: run.fileOffset + totalLength(chunkSlice(run.records, 0, before)), records };
}
