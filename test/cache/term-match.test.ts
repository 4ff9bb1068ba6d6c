import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { recipeRuns } from '../../src/cache/recipes/recipe-runs.ts';
import { type MatchedRun, matchTerm, type SourcedRecipe, type TermMatch } from '../../src/cache/term-match.ts';
import {
  CHUNK_RECORD_BYTES,
  chunkCount,
  chunkHashHex,
  chunkLength,
  chunkSlice,
  totalLength,
} from '../../src/core/chunks.ts';
import type { Recipe, RecipeTerm } from '../../src/core/recipe.ts';
import { holds } from '../support/property.ts';
import { hashOf, recipeOf, recordsOf, type TermSample } from '../support/recipe-samples.ts';

const XORB = hashOf('wanted');

function wantedTerm(start: number, end: number): RecipeTerm {
  const chunks = { start, end };
  return { xorb: XORB, chunks, unpackedLength: totalLength(recordsOf(XORB, chunks)) };
}

/** Each chunk of a file with all there is to say about it. */
function chunksOf(recipe: Recipe) {
  const chunks: { xorb: string; index: number; record: string; fileOffset: number }[] = [];
  let fileOffset = 0;
  for (const { xorb, chunks: range } of recipe.terms) {
    for (let index = range.start; index < range.end; index++) {
      const at = chunks.length;
      const length = chunkLength(recipe.records, at);
      chunks.push({ xorb, index, record: `${chunkHashHex(recipe.records, at)}:${length}`, fileOffset });
      fileOffset += length;
    }
  }
  return chunks;
}

/** Changes one chunk of a recipe; its lengths stay consistent. */
function lie(recipe: Recipe, chunk: number): Recipe {
  if (chunkCount(recipe.records) === 0) return recipe;
  const records = recipe.records.slice();
  const at = (chunk % chunkCount(records)) * CHUNK_RECORD_BYTES;
  records[at] = (records[at] ?? 0) ^ 1;
  return { ...recipe, records };
}

const termSample = fc
  .tuple(fc.constantFrom('wanted', 'wanted', 'wanted', 'other'), fc.nat(20), fc.integer({ min: 1, max: 12 }))
  .map(([xorb, start, count]): TermSample => [xorb, start, start + count]);
const recipe = fc
  .tuple(fc.array(termSample, { maxLength: 4 }), fc.option(fc.nat(), { freq: 4 }))
  .map(([terms, liar]) => {
    const honest = recipeOf('file', terms);
    return liar === null ? honest : lie(honest, liar);
  });
const wanted = fc
  .tuple(fc.nat(20), fc.integer({ min: 1, max: 14 }))
  .map(([start, count]) => wantedTerm(start, start + count));

/** What may be believed of each chunk, and which recipes say it: chunk by chunk, and slowly. */
function model(term: RecipeTerm, recipes: Recipe[]) {
  const known = new Map<number, string>();
  const believed: number[] = [];
  for (const [source, each] of recipes.entries()) {
    const own = chunksOf(each).filter(
      ({ xorb, index }) => xorb === term.xorb && index >= term.chunks.start && index < term.chunks.end,
    );
    const merged = new Map(known);
    const agrees = own.every(({ index, record }) => {
      const before = merged.get(index) ?? record;
      merged.set(index, record);
      return before === record;
    });
    if (!agrees) continue;
    for (const [index, record] of merged) known.set(index, record);
    believed.push(source);
  }
  const { start, end } = term.chunks;
  let prefixEnd = start;
  while (prefixEnd < end && known.has(prefixEnd)) prefixEnd++;
  let suffixStart = end;
  while (suffixStart > prefixEnd && known.has(suffixStart - 1)) suffixStart--;
  return { prefixEnd, suffixStart, known, believed };
}

/** The fewest runs that a range can be put together from: tried out, shortest first. */
function fewestParts(term: RecipeTerm, start: number, end: number, recipes: Recipe[]): number {
  const runs = recipes.flatMap((each) =>
    each.terms.filter(({ xorb }) => xorb === term.xorb).map(({ chunks }) => chunks),
  );
  const fewest = new Map([[start, 0]]);
  for (let at = start; at < end; at++) {
    const sofar = fewest.get(at);
    if (sofar === undefined) continue;
    for (const run of runs.filter((each) => each.start <= at && each.end > at)) {
      for (let stop = at + 1; stop <= Math.min(end, run.end); stop++) {
        fewest.set(stop, Math.min(fewest.get(stop) ?? Number.POSITIVE_INFINITY, sofar + 1));
      }
    }
  }
  return fewest.get(end) ?? 0;
}

function checkPart(part: MatchedRun<number>, term: RecipeTerm, recipes: Recipe[], known: Map<number, string>): void {
  const source = chunksOf(recipes[part.source]!);
  expect(part.chunks.end - part.chunks.start).toBe(chunkCount(part.records));
  expect(part.byteLength).toBe(totalLength(part.records));
  let offset = part.fileOffset;
  for (let index = part.chunks.start; index < part.chunks.end; index++) {
    const at = index - part.chunks.start;
    const record = `${chunkHashHex(part.records, at)}:${chunkLength(part.records, at)}`;
    expect(record).toBe(known.get(index));
    expect(source).toContainEqual({ xorb: term.xorb, index, record, fileOffset: offset });
    offset += chunkLength(part.records, at);
  }
}

const sourced = (recipes: Recipe[]): SourcedRecipe<number>[] =>
  recipes.map((each, source) => ({ source, recipe: each }));
const shape = (ends: TermMatch<unknown>) => ({
  prefix: ends.prefix.map(({ source, chunks }) => [source, chunks.start, chunks.end]),
  suffix: ends.suffix.map(({ source, chunks }) => [source, chunks.start, chunks.end]),
});

describe('knownChunks', () => {
  test('is what the recipe says about the xorb, term by term', () => {
    holds(500, recipe, (each) => {
      const runs = recipeRuns(each, XORB);
      const found = runs.flatMap(({ chunks, records, fileOffset }) => {
        let offset = fileOffset;
        return Array.from({ length: chunks.end - chunks.start }, (_, at) => {
          const length = chunkLength(records, at);
          offset += length;
          return {
            xorb: XORB,
            index: chunks.start + at,
            record: `${chunkHashHex(records, at)}:${length}`,
            fileOffset: offset - length,
          };
        });
      });
      expect(found).toEqual(chunksOf(each).filter(({ xorb }) => xorb === XORB));
      expect(runs).toHaveLength(each.terms.filter(({ xorb }) => xorb === XORB).length);
    });
  });
});

describe('knownEnds', () => {
  test('finds all that is known at both ends, in as few parts as can be, and each where it belongs', () => {
    let whole = 0;
    let split = 0;
    holds(3000, fc.tuple(wanted, fc.array(recipe, { maxLength: 5 })), ([term, recipes]) => {
      const { prefixEnd, suffixStart, known, believed } = model(term, recipes);
      const { prefix, suffix } = matchTerm(term, sourced(recipes));
      const trusted = believed.map((source) => recipes[source]!);
      const { start, end } = term.chunks;
      let at = start;
      let offset = 0;
      for (const part of prefix) {
        expect([part.chunks.start, part.termOffset]).toEqual([at, offset]);
        expect(believed).toContain(part.source);
        checkPart(part, term, recipes, known);
        at = part.chunks.end;
        offset += part.byteLength;
      }
      expect(at).toBe(prefixEnd);
      expect(prefix).toHaveLength(fewestParts(term, start, prefixEnd, trusted));
      at = end;
      offset = term.unpackedLength;
      for (const part of [...suffix].reverse()) {
        offset -= part.byteLength;
        expect([part.chunks.end, part.termOffset]).toEqual([at, offset]);
        expect(believed).toContain(part.source);
        checkPart(part, term, recipes, known);
        at = part.chunks.start;
      }
      expect(at).toBe(suffixStart);
      expect(suffix).toHaveLength(fewestParts(term, suffixStart, end, trusted));
      if (prefixEnd === end) whole++;
      else if (prefix.length > 0 && suffix.length > 0) split++;
    });
    // All kinds of cases came up.
    expect(whole).toBeGreaterThan(100);
    expect(split).toBeGreaterThan(100);
  });

  test('a term of another length than its chunks is not helped with', () => {
    holds(500, fc.tuple(wanted, fc.array(recipe, { maxLength: 4 }), fc.integer()), ([term, recipes, by]) => {
      const wrong = { ...term, unpackedLength: term.unpackedLength + by };
      const { prefix, suffix } = matchTerm(wrong, sourced(recipes));
      const bytes = [...prefix, ...suffix].reduce((sum, part) => sum + part.byteLength, 0);
      const chunks = [...prefix, ...suffix].reduce((sum, part) => sum + chunkCount(part.records), 0);
      const missing = term.chunks.end - term.chunks.start - chunks;
      if (chunks === 0) return;
      expect(wrong.unpackedLength - bytes).toBeGreaterThanOrEqual(missing);
      expect(wrong.unpackedLength - bytes).toBeLessThanOrEqual(missing * 131_072);
    });
  });

  test('prefers one long part to several short ones, and the first of equals', () => {
    const recipes = sourced([
      recipeOf('1', [['wanted', 0, 4]]),
      recipeOf('2', [['wanted', 4, 8]]),
      recipeOf('3', [['wanted', 0, 8]]),
      recipeOf('4', [['wanted', 0, 8]]),
    ]);
    expect(shape(matchTerm(wantedTerm(0, 10), recipes))).toEqual({ prefix: [[2, 0, 8]], suffix: [] });
    expect(shape(matchTerm(wantedTerm(2, 6), recipes))).toEqual({ prefix: [[2, 2, 6]], suffix: [] });
  });

  test('stitches from several files, and leaves the gap between the ends', () => {
    const recipes = sourced([
      recipeOf('1', [
        ['other', 0, 9],
        ['wanted', 0, 5],
      ]),
      recipeOf('2', [['wanted', 3, 8]]),
      recipeOf('3', [['wanted', 10, 12]]),
      recipeOf('4', [['wanted', 15, 30]]),
    ]);
    const ends = matchTerm(wantedTerm(1, 20), recipes);
    expect(shape(ends)).toEqual({
      prefix: [
        [0, 1, 5],
        [1, 5, 8],
      ],
      suffix: [[3, 15, 20]],
    });
    const before = totalLength(recordsOf(hashOf('other'), { start: 0, end: 9 }));
    expect(ends.prefix[0]?.fileOffset).toBe(before + totalLength(recordsOf(XORB, { start: 0, end: 1 })));
    expect(ends.prefix[1]?.fileOffset).toBe(totalLength(recordsOf(XORB, { start: 3, end: 5 })));
    expect(chunkSlice(ends.suffix[0]!.records, 0, 1)).toEqual(recordsOf(XORB, { start: 15, end: 16 }));
  });

  test('ignores a recipe that contradicts an earlier one, or itself', () => {
    const one = recipeOf('1', [['wanted', 0, 4]]);
    const liar = lie(recipeOf('2', [['wanted', 2, 12]]), 0);
    expect(shape(matchTerm(wantedTerm(0, 10), sourced([one, liar])))).toEqual({ prefix: [[0, 0, 4]], suffix: [] });
    expect(shape(matchTerm(wantedTerm(0, 10), sourced([liar, one])))).toEqual({ prefix: [], suffix: [[0, 2, 10]] });
    const twofold = lie(
      recipeOf('3', [
        ['wanted', 0, 6],
        ['wanted', 4, 10],
      ]),
      4,
    );
    expect(shape(matchTerm(wantedTerm(0, 10), sourced([twofold, one])))).toEqual({ prefix: [[1, 0, 4]], suffix: [] });
  });

  test('a term that no xorb can have gets nothing, and no memory', () => {
    const term = { xorb: XORB, chunks: { start: 0, end: 2 ** 32 - 1 }, unpackedLength: 2 ** 40 };
    expect(matchTerm(term, sourced([recipeOf('1', [['wanted', 0, 4]])]))).toEqual({ prefix: [], suffix: [] });
  });
});
