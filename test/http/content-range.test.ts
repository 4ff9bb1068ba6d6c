import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkPartial, parseContentRange } from '../../src/http/content-range.ts';
import { holds, thrownBy } from '../support/property.ts';

describe('parseContentRange', () => {
  test('the inclusive form becomes a half-open range', () => {
    holds(100, fc.tuple(fc.nat(), fc.nat(), fc.nat()), ([start, length, more]) => {
      const last = start + length;
      const total = last + 1 + more;
      const range = { start, end: last + 1 };
      expect(parseContentRange(`bytes ${start}-${last}/${total}`)).toEqual({ range, total });
      expect(parseContentRange(`bytes ${start}-${last}/*`)).toEqual({ range, total: undefined });
    });
  });

  test.each([null, '', 'bytes', 'bytes */10', 'bytes 0-9', 'bytes 0-9/', 'bytes -9/10', 'bytes 0-/10'])(
    '%j is none',
    (value) => expect(parseContentRange(value)).toBeUndefined(),
  );

  test.each(['bytes a-9/10', 'items 0-9/10', 'bytes 0-9/10, bytes 20-29/30', 'bytes 0x1-0x9/10', 'bytes 1.5-9/10'])(
    '%j is none',
    (value) => expect(parseContentRange(value)).toBeUndefined(),
  );

  test('case and outer blanks do not matter', () => {
    expect(parseContentRange('  BYTES  5-9/10 ')).toEqual({ range: { start: 5, end: 10 }, total: 10 });
  });
});

describe('checkPartial', () => {
  const asked = { start: 100, end: 200 };
  const reply = (status: number, headers: Record<string, string>): Parameters<typeof checkPartial>[0] => ({
    status,
    headers: new Headers(headers),
    url: 'https://cdn.test/xorb?X-Amz-Signature=secret',
  });

  test.each([
    [206, { 'content-range': 'bytes 100-199/1000' }],
    [206, { 'content-range': 'bytes 100-199/*' }],
    // What a page sees of another origin that does not expose the header.
    [206, { 'content-length': '100' }],
    [206, {}],
  ] as [number, Record<string, string>][])('takes %i with %j', (status, headers) => {
    expect(() => checkPartial(reply(status, headers), asked)).not.toThrow();
  });

  test.each([
    [200, { 'content-range': 'bytes 100-199/1000' }],
    [200, { 'content-length': '100' }],
    [206, { 'content-range': 'bytes 100-198/1000' }],
    [206, { 'content-range': 'bytes 99-199/1000' }],
    [206, { 'content-range': 'bytes 0-99/1000' }],
    [206, { 'content-range': 'bytes */1000' }],
    [206, { 'content-range': 'nonsense' }],
    [206, { 'content-length': '99' }],
    // A right length does not make up for a wrong range.
    [206, { 'content-range': 'bytes 0-99/1000', 'content-length': '100' }],
  ] as [number, Record<string, string>][])('refuses %i with %j', (status, headers) => {
    const error = thrownBy(() => checkPartial(reply(status, headers), asked));
    expect(error).toMatchObject({ code: 'PROTOCOL', retryable: true, status, url: 'https://cdn.test/xorb' });
    expect(String(error)).not.toContain('secret');
  });
});
