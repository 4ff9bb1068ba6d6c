import type { PlacedTerm, Reconstruction } from '../cas/reconstruction.ts';
import { totalLength } from '../core/chunks.ts';
import type { ChunkRange } from '../core/ranges.ts';
import type { RecipeTerm } from '../core/recipe.ts';
import { recipeRuns } from './recipes/recipe-runs.ts';
import type { SourcedRecipe, TermMatch } from './term-match.ts';

/** Minimum size of a run in the middle of a term that is worth a request. */
const MIN_RUN_BYTES = 2 * 1024 * 1024;
/** Maximum number of disjoint runs of this size in a xorb. */
const MAX_RUNS = 256;

/**
 * Returns estimated offsets, in bytes from the start of a wanted term, of known runs between its matched ends. Which chunk
 * is at such an offset, the CAS knows.
 */
export function probeOffsets<S>(wanted: RecipeTerm, recipes: Iterable<SourcedRecipe<S>>, ends: TermMatch<S>): number[] {
  const before = ends.prefix.at(-1);
  const after = ends.suffix[0];
  const gap = { start: before?.chunks.end ?? wanted.chunks.start, end: after?.chunks.start ?? wanted.chunks.end };
  const gapStart = before ? before.termOffset + before.byteLength : 0;
  const perChunk = ((after?.termOffset ?? wanted.unpackedLength) - gapStart) / (gap.end - gap.start);
  const runs: (ChunkRange & { bytes: number })[] = [];
  for (const { recipe } of recipes) {
    for (const { chunks, records } of recipeRuns(recipe, wanted.xorb)) {
      const inGap = gap.start < chunks.start && chunks.end < gap.end;
      if (inGap) runs.push({ ...chunks, bytes: totalLength(records) });
    }
  }
  const worth = runs.filter(({ bytes }) => bytes >= MIN_RUN_BYTES).sort((a, b) => b.bytes - a.bytes);
  const longestFirst = worth.slice(0, MAX_RUNS);
  const apart = longestFirst.filter(
    (run, index) => !longestFirst.slice(0, index).some((longer) => run.start < longer.end && longer.start < run.end),
  );
  return apart.map(({ start, end }) => Math.floor(gapStart + perChunk * ((start + end) / 2 - gap.start)));
}

/** Requests the reconstruction at an offset of the wanted file, which names the chunk there and its beginning. */
export type ProbeAt = (offset: number) => Promise<Reconstruction>;

/** Maximum number of probes, one request each. */
export const MAX_PROBES = 32;

/**
 * Splits terms at the chunks at these offsets. Only the CAS knows the lengths of the chunks before them, so each takes one
 * small request.
 */
export async function splitAtProbes(
  terms: readonly PlacedTerm[],
  places: readonly number[],
  ask: ProbeAt,
): Promise<PlacedTerm[]> {
  const anchors = await Promise.all(
    places.slice(0, MAX_PROBES).map(async (offset) => {
      const { terms: found, offsetIntoFirstTerm } = await ask(offset);
      return { at: offset - offsetIntoFirstTerm, xorb: found[0]?.xorb, chunk: found[0]?.chunks.start ?? 0 };
    }),
  );
  return terms.flatMap((term) => {
    const end = term.at + term.unpackedLength;
    const cuts = anchors
      .filter(({ at, xorb, chunk }) => xorb === term.xorb && at > term.at && at < end && isWithin(chunk, term.chunks))
      .sort((a, b) => a.at - b.at)
      .filter(({ chunk }, index, all) => index === 0 || chunk > (all[index - 1]?.chunk ?? 0));
    const borders = [{ at: term.at, chunk: term.chunks.start }, ...cuts, { at: end, chunk: term.chunks.end }];
    return borders.slice(1).map((border, index) => {
      const { at, chunk } = borders[index] ?? border;
      return { ...term, at, unpackedLength: border.at - at, chunks: { start: chunk, end: border.chunk } };
    });
  });
}

const isWithin = (chunk: number, { start, end }: ChunkRange) => start < chunk && chunk < end;
