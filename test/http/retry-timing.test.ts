import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestedWait, retryDelay } from '../../src/http/retry-timing.ts';
import { holds } from '../support/property.ts';

const policy = { attempts: 6, baseDelayMs: 500, maxDelayMs: 20_000 };

describe('retryDelay', () => {
  test.each([
    [1, 250, 500],
    [2, 500, 1000],
    [3, 1000, 2000],
    [4, 2000, 4000],
    [5, 4000, 8000],
    [6, 8000, 16_000],
    [7, 10_000, 20_000],
    [50, 10_000, 20_000],
    [2000, 10_000, 20_000], // 2 ** 1999 is infinite
  ])('before the attempt after %i it is %i to %i ms', (attempt, least, most) => {
    expect(retryDelay(attempt, policy, undefined, () => 0)).toBe(least);
    expect(retryDelay(attempt, policy, undefined, () => 0.5)).toBe((least + most) / 2);
    expect(retryDelay(attempt, policy, undefined, () => 1)).toBe(most);
  });

  test('jitter stays between half the ceiling and the ceiling, never below what the server asks', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const asked = fc.option(fc.nat(1_000_000), { nil: undefined });
    holds(300, fc.tuple(fc.integer({ min: 1, max: 100 }), asked, random), ([attempt, serverAsks, value]) => {
      const delay = retryDelay(attempt, policy, serverAsks, () => value);
      const ceiling = Math.min(500 * 2 ** (attempt - 1), 20_000);
      expect(delay).toBeGreaterThanOrEqual(Math.max(ceiling / 2, serverAsks ?? 0));
      // What the server asks may pass the cap; what is added to it is no more than our own wait.
      expect(delay).toBeLessThanOrEqual((serverAsks ?? 0) + ceiling);
    });
  });

  test('clients that are told the same wait do not come back together', () => {
    const delays = [0, 0.25, 0.5, 0.75].map((value) => retryDelay(1, policy, 5000, () => value));
    expect(new Set(delays).size).toBe(delays.length);
  });
});

describe('requestedWait', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');

  test.each([
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '7' }, 7000],
    [{ 'retry-after': ' 7 ' }, 7000],
    [{ 'retry-after': '1.5' }, 1500],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, 30_000],
    // A date that has passed asks for no wait.
    [{ 'retry-after': 'Wed, 31 Dec 2025 23:59:00 GMT' }, 0],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '' }, undefined],
    [{}, undefined],
    // A second more than said, as the Hub rounds down.
    [{ ratelimit: '"api";r=0;t=55' }, 56_000],
    [{ ratelimit: '"api"; r=0; t=55' }, 56_000],
    [{ ratelimit: '"api";r=10;t=55' }, undefined],
    [{ ratelimit: '"api";r=05;t=55' }, undefined],
    [{ ratelimit: '"api";r=0' }, undefined],
    [{ ratelimit: 'nonsense' }, undefined],
    // The plainer header wins, unless it is unusable.
    [{ 'retry-after': '3', ratelimit: '"api";r=0;t=55' }, 3000],
    [{ 'retry-after': 'soon', ratelimit: '"api";r=0;t=55' }, 56_000],
  ] as [Record<string, string>, number | undefined][])('%j asks for %s ms', (headers, expected) => {
    expect(requestedWait(new Headers(headers), now)).toBe(expected);
  });

  test('is a wait or nothing, whatever the headers say', () => {
    const value = fc.string({ unit: 'grapheme-ascii' });
    holds(300, fc.tuple(value, value), ([retryAfter, ratelimit]) => {
      const wait = requestedWait(new Headers({ 'retry-after': retryAfter, ratelimit }), now);
      if (wait !== undefined) expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).not.toBeNaN();
    });
  });
});
