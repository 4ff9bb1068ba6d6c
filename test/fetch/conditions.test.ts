import { describe, expect, test } from 'vitest';
import { checkPreconditions, rangeApplies } from '../../src/fetch/preconditions.ts';

const tags = ['aaa', 'bbb'];

describe('preconditions', () => {
  test.each([
    [{}, 'proceed'],
    [{ 'if-none-match': '"aaa"' }, 'not-modified'],
    [{ 'if-none-match': '"bbb"' }, 'not-modified'],
    [{ 'if-none-match': 'W/"aaa"' }, 'not-modified'],
    [{ 'if-none-match': '"x", W/"bbb"' }, 'not-modified'],
    [{ 'if-none-match': '*' }, 'not-modified'],
    [{ 'if-none-match': '"ccc"' }, 'proceed'],
    [{ 'if-none-match': 'aaa' }, 'proceed'],
    [{ 'if-match': '"aaa"' }, 'proceed'],
    [{ 'if-match': '*' }, 'proceed'],
    [{ 'if-match': 'W/"aaa"' }, 'failed'],
    [{ 'if-match': '"ccc"' }, 'failed'],
    [{ 'if-match': '"ccc"', 'if-none-match': '"aaa"' }, 'failed'],
    [{ 'if-modified-since': 'Sat, 29 Oct 1994 19:43:31 GMT' }, 'proceed'],
    [{ 'if-unmodified-since': 'Sat, 29 Oct 1994 19:43:31 GMT' }, 'proceed'],
  ])('%j is evaluated', (headers, expected) => expect(checkPreconditions(new Headers(headers), tags)).toBe(expected));

  test.each([
    [undefined, true],
    ['"aaa"', true],
    ['"bbb"', true],
    ['W/"aaa"', false],
    ['"ccc"', false],
    ['*', false],
    ['Sat, 29 Oct 1994 19:43:31 GMT', false],
  ])('If-Range: %s is evaluated', (value, expected) => {
    const headers = new Headers(value === undefined ? {} : { 'if-range': value });
    expect(rangeApplies(headers, tags)).toBe(expected);
  });
});
