import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkRun,
  entriesWith,
  isXorbRange,
  mergeRanges,
  partOfRun,
  rangesWithin,
  subtractRanges,
} from '../../../src/cache/chunks/chunk-runs.ts';
import type { ChunkRange } from '../../../src/core/ranges.ts';
import { SampleXorbs, sampleHash } from '../../support/chunk-samples.ts';
import { holds } from '../../support/property.ts';

const LENGTH = 40;
const range = fc
  .tuple(fc.integer({ min: 0, max: LENGTH }), fc.integer({ min: 0, max: 12 }))
  .map(([start, length]) => ({ start, end: Math.min(LENGTH, start + length) }));
const ranges = fc.array(range, { maxLength: 8 });

/** The same as a row of marks, in which nothing can be got wrong. */
function marked(of: readonly ChunkRange[]): boolean[] {
  return Array.from({ length: LENGTH }, (_, index) => of.some(({ start, end }) => start <= index && index < end));
}

function expectTidy(found: readonly ChunkRange[]): void {
  found.forEach(({ start, end }, index) => {
    expect(start).toBeLessThan(end);
    if (index > 0) expect(start).toBeGreaterThan(found[index - 1]!.end);
  });
}

describe('ranges of chunks', () => {
  test('merged, they mean the same', () => {
    holds(500, ranges, (given) => {
      const copy = structuredClone(given);
      expectTidy(mergeRanges(given));
      expect(marked(mergeRanges(given))).toEqual(marked(given));
      expect(given).toEqual(copy);
    });
  });

  test('within another, only what both have', () => {
    holds(500, fc.tuple(ranges, range), ([given, within]) => {
      const found = rangesWithin(given, within);
      expectTidy(found);
      const other = marked([within]);
      expect(marked(found)).toEqual(marked(given).map((mark, index) => mark && other[index]));
    });
  });

  test('subtracted, only what they do not have', () => {
    holds(500, fc.tuple(range, ranges), ([whole, held]) => {
      const found = subtractRanges(whole, held);
      expectTidy(found);
      const other = marked(held);
      expect(marked(found)).toEqual(marked([whole]).map((mark, index) => mark && !other[index]));
    });
  });

  test('the entry that goes on furthest comes first', () => {
    const entries = [
      { start: 0, end: 5 },
      { start: 2, end: 9 },
      { start: 3, end: 4 },
      { start: 4, end: 20 },
    ];
    expect(entriesWith(entries, 3).map(({ end }) => end)).toEqual([9, 5, 4]);
    expect(entriesWith(entries, 20)).toEqual([]);
  });

  test.each([
    [0, 1, true],
    [0, 8192, true],
    [8191, 8192, true],
    [0, 0, false],
    [3, 2, false],
    [-1, 2, false],
    [0, 8193, false],
    [0.5, 2, false],
    [Number.NaN, 2, false],
    [0, Number.POSITIVE_INFINITY, false],
  ])('%d to %d', (start, end, is) => expect(isXorbRange({ start, end })).toBe(is));
});

describe('runs', () => {
  const xorbs = new SampleXorbs(1, 50);

  test('a part of one is what it would be by itself', () => {
    const whole = xorbs.run(1, { start: 10, end: 30 });
    holds(200, fc.tuple(fc.integer({ min: 10, max: 30 }), fc.integer({ min: 10, max: 30 })), ([a, b]) => {
      const chunks = { start: Math.min(a, b), end: Math.max(a, b) };
      const part = partOfRun(whole, chunks);
      expect(part.chunks).toEqual(chunks);
      expect(xorbs.wrongIn(1, part)).toBeUndefined();
    });
  });

  test('of one that is damaged, the chunks before that are good', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 7 }), async (position, bit) => {
        const run = xorbs.run(2, { start: 5, end: 15 });
        const at = position % run.bytes.length;
        run.bytes[at] = (run.bytes[at] ?? 0) ^ (1 << bit);
        const { good, damaged } = await checkRun(run, sampleHash);
        expect(damaged).toBe(true);
        const end = good?.chunks.end ?? 5;
        if (good) expect(xorbs.wrongIn(2, good)).toBeUndefined();
        // The chunk after them is the one with the damage.
        const before = xorbs.run(2, { start: 5, end }).bytes.length;
        expect(at).toBeGreaterThanOrEqual(before);
        expect(at).toBeLessThan(before + xorbs.chunk(2, end).length);
      }),
      { seed: 20260101, numRuns: 200 },
    );
  });

  test('a hash of another length is never the right one', async () => {
    const run = xorbs.run(2, { start: 0, end: 2 });
    expect(await checkRun(run, (chunk) => sampleHash(chunk).subarray(0, 31))).toEqual({
      good: undefined,
      damaged: true,
    });
  });
});
