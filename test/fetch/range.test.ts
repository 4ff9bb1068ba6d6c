import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestedRange } from '../../src/fetch/preconditions.ts';

describe('requestedRange', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 1 }],
    ['bytes=0-99', { start: 0, end: 100 }],
    ['bytes=100-', { start: 100, end: 1000 }],
    ['bytes=-500', { start: 500, end: 1000 }],
    ['bytes=-5000', { start: 0, end: 1000 }],
    ['bytes=990-2000', { start: 990, end: 1000 }],
    ['bytes=999-999', { start: 999, end: 1000 }],
    ['BYTES= 1-2 ', { start: 1, end: 3 }],
    ['bytes=1-2,', { start: 1, end: 3 }],
    ['bytes=, ,1-2', { start: 1, end: 3 }],
    ['bytes=0-99999999999999999999999999', { start: 0, end: 1000 }],
    ['bytes=1000-', 'unsatisfiable'],
    ['bytes=1000-1001', 'unsatisfiable'],
    ['bytes=99999999999999999999999999-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    // Several ranges, other units and what is not well-formed ask for all.
    ['bytes=0-1,5-6', undefined],
    ['bytes=-1,-2', undefined],
    ['items=0-1', undefined],
    ['bytes=5-4', undefined],
    ['bytes=-', undefined],
    ['bytes=', undefined],
    ['bytes', undefined],
    ['bytes=a-b', undefined],
    ['bytes=1-2-3', undefined],
    ['bytes=0x1-0x2', undefined],
    ['bytes=+1-2', undefined],
    ['bytes=1.5-2', undefined],
    ['bytes: 0-1', undefined],
    ['', undefined],
    [null, undefined],
  ])('%j of 1000 bytes is parsed', (header, expected) => expect(requestedRange(header, 1000)).toEqual(expected));

  test.each(['bytes=0-', 'bytes=0-0', 'bytes=-1'])('%s of an empty file is unsatisfiable', (header) =>
    expect(requestedRange(header, 0)).toBe('unsatisfiable'),
  );

  /** The bytes that a range names, one by one, as the RFC says it. */
  const named = (size: number, first: number | undefined, last: number | undefined) =>
    Array.from({ length: size }, (_, at) => at).filter((at) =>
      first === undefined ? at >= size - (last ?? 0) : at >= first && at <= (last ?? size),
    );

  test('a range selects exactly the bytes that the RFC describes', () => {
    const position = fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 30 }), position, position, (size, first, last) => {
        const range = requestedRange(`bytes=${first ?? ''}-${last ?? ''}`, size);
        const nonsense = first === undefined ? last === undefined : last !== undefined && last < first;
        const bytes = named(size, first, last);
        const expected = nonsense
          ? undefined
          : bytes.length === 0
            ? 'unsatisfiable'
            : { start: bytes[0], end: bytes.at(-1)! + 1 };
        expect(range).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test('no header selects bytes outside the file', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^bytes=[-0-9, ]{0,12}$/));
    fc.assert(
      fc.property(text, fc.nat(100), (header, size) => {
        const range = requestedRange(header, size);
        if (typeof range !== 'object') return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.end).toBeGreaterThan(range.start);
        expect(range.end).toBeLessThanOrEqual(size);
      }),
      { numRuns: 2000 },
    );
  });
});
