import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatBytes, formatDuration, parseSize } from '../../src/cli/units.ts';
import { holds, thrownBy } from '../support/property.ts';

describe('parseSize', () => {
  test.each([
    ['0', 0],
    ['67108864', 67_108_864],
    ['64B', 64],
    ['64MB', 64e6],
    ['64 MB', 64e6],
    [' 64mb ', 64e6],
    ['64M', 64e6],
    ['64MiB', 64 * 1024 ** 2],
    ['64mi', 64 * 1024 ** 2],
    ['1k', 1000],
    ['1KiB', 1024],
    ['2G', 2e9],
    ['2GiB', 2 * 1024 ** 3],
    ['1.5GB', 1.5e9],
    ['0.5KiB', 512],
    ['1.0001kB', 1000],
  ])('%j is %i', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each([
    '',
    ' ',
    'MB',
    '-1',
    '1e9',
    '1,5MB',
    '.5MB',
    '5.MB',
    '0x10',
    '64 M B',
    '64MBB',
    '64bits',
    '1 2',
    'NaN',
    'Infinity',
    '1PB',
  ])('%j is none', (text) =>
    expect(thrownBy(() => parseSize(text))).toMatchObject({ name: 'XetError', code: 'INVALID_ARGUMENT' }),
  );

  test('a size is a number that can count bytes, or none', () => {
    for (const text of ['9'.repeat(20), `${'9'.repeat(400)}`, `${'9'.repeat(14)}GiB`]) {
      expect(
        thrownBy(() => parseSize(text)),
        text,
      ).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    const near = fc.string({ unit: fc.constantFrom('0', '1', '9', '.', ' ', '-', 'k', 'M', 'g', 'i', 'B', 'e') });
    holds(1000, near, (text) => {
      try {
        const size = parseSize(text);
        expect(Number.isSafeInteger(size)).toBe(true);
        expect(size).toBeGreaterThanOrEqual(0);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
    });
  });
});

describe('formatBytes', () => {
  test.each([
    [0, '0 B'],
    [1, '1 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [9949, '9.95 kB'],
    [12_345, '12.3 kB'],
    [123_456, '123 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [1e6, '1.00 MB'],
    [64e6, '64.0 MB'],
    [5.5e9, '5.50 GB'],
    [1.2e12, '1.20 TB'],
    [5e15, '5000 TB'],
  ])('%d is %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test('a rate need not be whole', () => {
    expect(formatBytes(333.3333333333)).toBe('333 B');
    expect(formatBytes(999.7)).toBe('1.00 kB');
    expect(formatBytes(0.4)).toBe('0 B');
  });

  test('has at most four digits up to the last unit, and is as large as it says', () => {
    const scale = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
    holds(2000, fc.double({ min: 0, max: 999e12, noNaN: true }), (bytes) => {
      const [, number = '', unit = ''] =
        /^(\d{1,4}|\d\.\d\d|\d\d\.\d) (B|[kMGT]B)$/.exec(formatBytes(Math.round(bytes))) ?? [];
      const shown = Number(number) * scale[unit as keyof typeof scale];
      expect(Math.abs(shown - bytes)).toBeLessThanOrEqual(Math.max(0.5, bytes * 0.0061));
    });
  });

  test('more bytes never look like fewer', () => {
    const shown = (bytes: number) => parseSize(formatBytes(bytes));
    for (let bytes = 990; bytes < 1e6; bytes += 7) {
      expect(shown(bytes + 7), String(bytes)).toBeGreaterThanOrEqual(shown(bytes));
    }
  });
});

describe('formatDuration', () => {
  test.each([
    [0, '0.0 s'],
    [0.04, '0.0 s'],
    [1.26, '1.3 s'],
    [9.94, '9.9 s'],
    [10, '10 s'],
    [89.4, '89 s'],
    [90, '1 min 30 s'],
    [119.4, '1 min 59 s'],
    [120, '2 min 00 s'],
    [3599, '59 min 59 s'],
    [3600, '1 h 00 min'],
    [3660, '1 h 01 min'],
    [90_000, '25 h 00 min'],
    // What rounds up to a whole minute is one.
    [119.7, '2 min 00 s'],
    [3599.6, '1 h 00 min'],
  ])('%d s is %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  test('never shows 60 of anything that has a larger unit beside it', () => {
    holds(3000, fc.double({ min: 0, max: 8000, noNaN: true }), (seconds) => {
      expect(formatDuration(seconds)).toMatch(
        /^(\d\.\d s|10\.0 s|[1-9]\d s|[1-5]?\d min [0-5]\d s|\d+ h [0-5]\d min)$/,
      );
    });
  });
});
