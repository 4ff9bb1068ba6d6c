import { CHUNK_RECORD_BYTES, chunkSlice, MAX_CHUNK_BYTES, MAX_XORB_CHUNKS, totalLength } from '../core/chunks.ts';
import type { Recipe, RecipeTerm } from '../core/recipe.ts';
import { overlaps } from './recipes/recipe-index.ts';
import { type RecipeRun, recipeRuns } from './recipes/recipe-runs.ts';

/** A recipe and its source, for example a path. */
export interface SourcedRecipe<S> {
  source: S;
  recipe: Recipe;
}

/** Chunks of a wanted term in a source. */
export interface MatchedRun<S> extends RecipeRun {
  source: S;
  /** Offset of these bytes in the wanted term. */
  termOffset: number;
  /** Bytes. */
  byteLength: number;
}

/** Known runs from the first byte of a term, and up to its last byte; both in term order, without gaps. */
export interface TermMatch<S> {
  prefix: MatchedRun<S>[];
  suffix: MatchedRun<S>[];
}

interface SourcedRun<S> extends RecipeRun {
  source: S;
}

/**
 * Returns the longest known runs at the start and at the end of a wanted term, in as few parts as possible. Elsewhere in the
 * term, the offset of a chunk depends on the unknown lengths of chunks before it. A term
 * that is known completely is all prefix. A recipe that contradicts an earlier one about a chunk is ignored. If the
 * known runs cannot belong to a term of this length, both are empty.
 */
export function matchTerm<S>(wanted: RecipeTerm, recipes: Iterable<SourcedRecipe<S>>): TermMatch<S> {
  const runs = consistentRuns(wanted, recipes);
  const { start, end } = wanted.chunks;
  const prefix = place(coverFrom(runs, start), 0);
  const gapStart = prefix.at(-1)?.chunks.end ?? start;
  const tail = gapStart === end ? [] : coverTo(runs, end);
  const suffix = place(tail, wanted.unpackedLength - tail.reduce((sum, run) => sum + totalLength(run.records), 0));
  const gapChunks = (suffix[0]?.chunks.start ?? end) - gapStart;
  const gapBytes = (suffix[0]?.termOffset ?? wanted.unpackedLength) - endOf(prefix);
  const possible = gapBytes >= gapChunks && gapBytes <= gapChunks * MAX_CHUNK_BYTES;
  return possible ? { prefix, suffix } : { prefix: [], suffix: [] };
}

/** Returns the runs within the wanted term from all recipes that agree with those before them. */
function consistentRuns<S>(wanted: RecipeTerm, recipes: Iterable<SourcedRecipe<S>>): SourcedRun<S>[] {
  const { start, end } = wanted.chunks;
  if (end - start > MAX_XORB_CHUNKS) return [];
  const agreed = new ConsistentChunks(start, end);
  const runs: SourcedRun<S>[] = [];
  for (const { source, recipe } of recipes) {
    const own = recipeRuns(recipe, wanted.xorb)
      .filter(({ chunks }) => overlaps(chunks, wanted.chunks))
      .map((run) => cut({ source, ...run }, Math.max(start, run.chunks.start), Math.min(end, run.chunks.end)));
    if (agreed.add(own)) for (const run of own) runs.push(run);
  }
  return runs;
}

/** The record of each known chunk. The first one added for a chunk counts. */
class ConsistentChunks {
  readonly #start: number;
  readonly #records: Uint8Array;
  readonly #known: Uint8Array;

  constructor(start: number, end: number) {
    this.#start = start;
    this.#records = new Uint8Array((end - start) * CHUNK_RECORD_BYTES);
    this.#known = new Uint8Array(end - start);
  }

  /** Adds all of these runs, or none and returns false if one contradicts a known chunk or another run. */
  add(runs: RecipeRun[]): boolean {
    const added: number[] = [];
    for (const { chunks, records } of runs) {
      for (let index = 0; index < chunks.end - chunks.start; index++) {
        const at = chunks.start - this.#start + index;
        const record = chunkSlice(records, index, index + 1);
        if (!this.#known[at]) {
          this.#records.set(record, at * CHUNK_RECORD_BYTES);
          this.#known[at] = 1;
          added.push(at);
        } else if (!record.every((byte, offset) => byte === this.#records[at * CHUNK_RECORD_BYTES + offset])) {
          for (const place of added) this.#known[place] = 0;
          return false;
        }
      }
    }
    return true;
  }
}

/** Greedy: always takes the run that reaches farthest, which needs the fewest runs. */
function coverFrom<S>(runs: SourcedRun<S>[], start: number): SourcedRun<S>[] {
  const parts: SourcedRun<S>[] = [];
  for (let at = start; ; ) {
    const best = farthest(runs, ({ chunks }) => (chunks.start <= at ? chunks.end - at : 0));
    if (!best) return parts;
    parts.push(cut(best, at, best.chunks.end));
    at = best.chunks.end;
  }
}

function coverTo<S>(runs: SourcedRun<S>[], end: number): SourcedRun<S>[] {
  const parts: SourcedRun<S>[] = [];
  for (let at = end; ; ) {
    const best = farthest(runs, ({ chunks }) => (chunks.end >= at ? at - chunks.start : 0));
    if (!best) return parts.reverse();
    parts.push(cut(best, best.chunks.start, at));
    at = best.chunks.start;
  }
}

/** Returns the first of the runs that reach farthest, or undefined if none advances. */
function farthest<S>(runs: SourcedRun<S>[], reach: (run: SourcedRun<S>) => number): SourcedRun<S> | undefined {
  let best: SourcedRun<S> | undefined;
  let most = 0;
  for (const run of runs) {
    const chunks = reach(run);
    if (chunks <= most) continue;
    best = run;
    most = chunks;
  }
  return best;
}

function cut<S>(run: SourcedRun<S>, start: number, end: number): SourcedRun<S> {
  const skipped = start - run.chunks.start;
  return {
    source: run.source,
    chunks: { start, end },
    records: chunkSlice(run.records, skipped, end - run.chunks.start),
    fileOffset: run.fileOffset + totalLength(chunkSlice(run.records, 0, skipped)),
  };
}

function place<S>(runs: SourcedRun<S>[], termOffset: number): MatchedRun<S>[] {
  let next = termOffset;
  return runs.map((run) => {
    const byteLength = totalLength(run.records);
    const part = { ...run, termOffset: next, byteLength };
    next += byteLength;
    return part;
  });
}

function endOf<S>(parts: MatchedRun<S>[]): number {
  const last = parts.at(-1);
  return last ? last.termOffset + last.byteLength : 0;
}
