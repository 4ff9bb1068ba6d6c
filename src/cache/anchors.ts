import { totalLength } from '../chunks.ts';
import type { ChunkRange } from '../ranges.ts';
import type { RecipeTerm } from './recipes.ts';
import { type KnownEnds, knownChunks, type SourcedRecipe } from './xorb-knowledge.ts';

/** A shorter run in the middle of a term is not worth a question. */
const WORTH_BYTES = 2 * 1024 * 1024;

/**
 * Where in a wanted term, in bytes from its start, runs of chunks that are known lie about: those between the known
 * ends, whose place follows from nothing that is known. Which chunk is there at such an offset, a CAS can tell.
 */
export function likelyPlaces<S>(wanted: RecipeTerm, recipes: Iterable<SourcedRecipe<S>>, ends: KnownEnds<S>): number[] {
  const before = ends.prefix.at(-1);
  const after = ends.suffix[0];
  const gap = { start: before?.chunks.end ?? wanted.chunks.start, end: after?.chunks.start ?? wanted.chunks.end };
  const gapStart = before ? before.termOffset + before.byteLength : 0;
  const perChunk = ((after?.termOffset ?? wanted.unpackedLength) - gapStart) / (gap.end - gap.start);
  const runs: (ChunkRange & { bytes: number })[] = [];
  for (const { recipe } of recipes) {
    for (const { chunks, records } of knownChunks(recipe, wanted.xorb)) {
      const inGap = gap.start < chunks.start && chunks.end < gap.end;
      if (inGap) runs.push({ ...chunks, bytes: totalLength(records) });
    }
  }
  const longestFirst = runs.filter(({ bytes }) => bytes >= WORTH_BYTES).sort((a, b) => b.bytes - a.bytes);
  const apart = longestFirst.filter(
    (run, index) => !longestFirst.slice(0, index).some((longer) => run.start < longer.end && longer.start < run.end),
  );
  return apart.map(({ start, end }) => Math.floor(gapStart + perChunk * ((start + end) / 2 - gap.start)));
}
