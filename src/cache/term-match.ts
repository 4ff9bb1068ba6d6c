import { CHUNK_RECORD_BYTES, chunkSlice, MAX_CHUNK_BYTES, MAX_XORB_CHUNKS, totalLength } from '../core/chunks.ts';
import type { Recipe, RecipeTerm } from '../core/recipe.ts';
import { overlaps } from './recipes/recipe-index.ts';
import { type RecipeRun, recipeRuns } from './recipes/recipe-runs.ts';

/** A recipe, and whatever its user wants to find it by: a path, a store. */
export interface SourcedRecipe<S> {
  source: S;
  recipe: Recipe;
}

/** Chunks of a wanted term that a source has. */
export interface MatchedRun<S> extends RecipeRun {
  source: S;
  /** Offset of these bytes in the wanted term. */
  termOffset: number;
  /** Bytes. */
  byteLength: number;
}

/** Both in term order and without gaps: from the term's first byte on, and up to its last. */
export interface TermMatch<S> {
  prefix: MatchedRun<S>[];
  suffix: MatchedRun<S>[];
}

interface SourcedRun<S> extends RecipeRun {
  source: S;
}

/**
 * The longest known runs at the start and at the end of a wanted term, in as few parts as can be. Only there is it
 * known where in the term a chunk's bytes belong: the lengths of unknown chunks before it are not. A term
 * that is known as a whole is all prefix. A recipe that contradicts an earlier one about a chunk is ignored; if what
 * is known cannot be part of a term of this length, nothing is.
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

/** The runs that lie in the wanted term, cut to it, of all recipes that agree with those before them. */
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

/** One record for each chunk that is known; the first to say something about a chunk is right. */
class ConsistentChunks {
  readonly #start: number;
  readonly #records: Uint8Array;
  readonly #known: Uint8Array;

  constructor(start: number, end: number) {
    this.#start = start;
    this.#records = new Uint8Array((end - start) * CHUNK_RECORD_BYTES);
    this.#known = new Uint8Array(end - start);
  }

  /** Adds all of these runs, or none if one of them contradicts what is known or another of them. */
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

/** Always the run that leads farthest: no other choice needs fewer. */
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

/** The first run that reaches farthest; none if none gets anywhere. */
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
