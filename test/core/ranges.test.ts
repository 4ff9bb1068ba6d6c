import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ByteRange,
  contains,
  joinNearest,
  lengthOf,
  rangeHeader,
  without,
  withoutAll,
} from '../../src/core/ranges.ts';
import { holds } from '../support/property.ts';

const MOST = 60;

const range = fc.tuple(fc.nat(MOST), fc.nat(MOST)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));

/** Ascending, none of them empty; they may touch, as parts of a file do. */
const parts: fc.Arbitrary<ByteRange[]> = fc
  .array(fc.record({ gap: fc.nat(6), length: fc.integer({ min: 1, max: 9 }) }), { maxLength: 12 })
  .map((steps) => {
    let at = 0;
    return steps.map(({ gap, length }) => {
      const start = at + gap;
      at = start + length;
      return { start, end: at };
    });
  });

/** The numbers that lie in one of the ranges. */
const numbersIn = (ranges: readonly ByteRange[]) => {
  const numbers = new Set<number>();
  for (const { start, end } of ranges) for (let at = start; at < end; at++) numbers.add(at);
  return numbers;
};

const sorted = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b);
const isAscending = (ranges: readonly ByteRange[]) =>
  ranges.every(({ start, end }, at) => start < end && start >= (ranges[at - 1]?.end ?? 0));
const copyOf = (ranges: readonly ByteRange[]) => ranges.map((one) => ({ ...one }));

test('ranges without some parts are each of them without those', () => {
  const ascending = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), {
    maxLength: 12,
  });
  const placed = (steps: [number, number][]) => {
    let at = 0;
    return steps.map(([gap, length]) => {
      const start = at + gap;
      at = start + length;
      return { start, end: at };
    });
  };
  holds(300, fc.tuple(ascending, ascending), ([some, gone]) => {
    const parts = placed(gone);
    expect(withoutAll(placed(some), parts)).toEqual(placed(some).flatMap((range) => without(range, parts)));
  });
});

describe('a range without some parts', () => {
  test('is every number of the range that is in none of them, once', () => {
    holds(1000, fc.tuple(range, parts), ([whole, gone]) => {
      const before = copyOf(gone);
      const left = without(whole, gone);
      expect(isAscending(left)).toBe(true);
      const away = numbersIn(gone);
      const expected = sorted(numbersIn([whole])).filter((at) => !away.has(at));
      expect(left.flatMap((one) => sorted(numbersIn([one])))).toEqual(expected);
      expect(gone).toEqual(before);
    });
  });

  test('is in as few pieces as there are gaps', () => {
    holds(500, fc.tuple(range, parts), ([whole, gone]) => {
      const left = without(whole, gone);
      for (const [at, { start }] of left.entries()) expect(left[at - 1]?.end).not.toBe(start);
    });
  });

  test('is what it was without them, and nothing without itself', () => {
    holds(200, range, (whole) => {
      expect(without(whole, [])).toEqual(whole.start < whole.end ? [whole] : []);
      expect(without(whole, [whole])).toEqual([]);
    });
  });

  test('and those parts make the range again', () => {
    holds(500, fc.tuple(range, parts), ([whole, gone]) => {
      const left = without(whole, gone);
      expect(without(whole, left).flatMap((one) => sorted(numbersIn([one])))).toEqual(
        sorted(numbersIn([whole])).filter((at) => numbersIn(gone).has(at)),
      );
    });
  });

  test('counts bytes beyond 2^32 as well', () => {
    const far = 2 ** 52;
    expect(
      without({ start: 5, end: far }, [
        { start: 0, end: 7 },
        { start: 2 ** 33, end: 2 ** 33 + 1 },
      ]),
    ).toEqual([
      { start: 7, end: 2 ** 33 },
      { start: 2 ** 33 + 1, end: far },
    ]);
  });
});

describe('ranges joined where the gaps are smallest', () => {
  const joined = fc.tuple(parts, fc.integer({ min: 1, max: 8 }));
  /** Gaps that joining fills, if it fills the smallest. */
  const leastFilled = (ranges: readonly ByteRange[], most: number) =>
    ranges
      .slice(1)
      .map(({ start }, at) => start - (ranges[at]?.end ?? 0))
      .sort((a, b) => a - b)
      .slice(0, Math.max(0, ranges.length - most))
      .reduce((sum, gap) => sum + gap, 0);

  test('are as many as may be, hold all, and nothing that could be left out', () => {
    holds(1000, joined, ([ranges, most]) => {
      const before = copyOf(ranges);
      const result = joinNearest(ranges, most);
      expect(result).toHaveLength(Math.min(ranges.length, most));
      expect(isAscending(result)).toBe(true);
      for (const one of ranges) expect(result.filter((outer) => contains(outer, one))).toHaveLength(1);
      expect(lengthOf(result) - lengthOf(ranges)).toBe(leastFilled(ranges, most));
      expect(ranges).toEqual(before);
    });
  });

  test('are as they were when they are few', () => {
    holds(200, parts, (ranges) => {
      expect(joinNearest(ranges, 12)).toEqual(ranges);
    });
  });

  test('belong to the caller', () => {
    const ranges = [
      { start: 0, end: 1 },
      { start: 5, end: 6 },
    ];
    for (const most of [1, 2, 3]) for (const one of joinNearest(ranges, most)) one.end = 99;
    expect(ranges).toEqual([
      { start: 0, end: 1 },
      { start: 5, end: 6 },
    ]);
  });
});

test('lengths add up', () => {
  holds(200, parts, (ranges) => {
    expect(lengthOf(ranges)).toBe(numbersIn(ranges).size);
  });
});

test('headers include the last byte', () => {
  expect(rangeHeader({ start: 0, end: 1 })).toBe('bytes=0-0');
  expect(rangeHeader({ start: 7, end: 2 ** 40 })).toBe(`bytes=7-${2 ** 40 - 1}`);
});

test('one range holds another, itself, and an empty one within', () => {
  holds(500, fc.tuple(range, range), ([outer, inner]) => {
    const all = numbersIn([outer]);
    const within = sorted(numbersIn([inner])).every((at) => all.has(at));
    if (inner.start < inner.end) expect(contains(outer, inner)).toBe(within);
    expect(contains(outer, outer)).toBe(true);
  });
});
