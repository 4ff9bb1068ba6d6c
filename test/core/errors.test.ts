import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isXetError, publicUrl, XetError } from '../../src/core/errors.ts';
import { holds } from '../support/property.ts';

describe('XetError', () => {
  test('carries what it was given, and no more', () => {
    const cause = new Error('inner');
    const error = new XetError('RATE_LIMITED', 'Too many requests.', {
      status: 429,
      url: 'https://user:password@hub.test/a/b?sig=secret#part',
      requestId: 'r-1',
      retryable: true,
      retryAfterMs: 5000,
      cause,
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'XetError',
      message: 'Too many requests.',
      code: 'RATE_LIMITED',
      status: 429,
      url: 'https://hub.test/a/b',
      requestId: 'r-1',
      retryable: true,
      retryAfterMs: 5000,
      cause,
    });
    expect(String(error)).toBe('XetError: Too many requests.');
    expect(JSON.stringify(error)).not.toMatch(/secret|password/);
  });

  test('is not worth another attempt unless it says so, and has no cause that nobody named', () => {
    const error = new XetError('NETWORK', 'No.');
    expect(error.retryable).toBe(false);
    expect('cause' in error).toBe(false);
  });
});

describe('isXetError', () => {
  test('knows the codes', () => {
    const error = new XetError('GATED', 'No.');
    expect(isXetError(error)).toBe(true);
    expect(isXetError(error, 'GATED')).toBe(true);
    expect(isXetError(error, 'NETWORK', 'GATED')).toBe(true);
    expect(isXetError(error, 'NETWORK')).toBe(false);
  });

  test('knows the error of another copy of the package', () => {
    class Other extends Error {
      override readonly name = 'XetError';
      readonly code = 'GATED';
    }
    expect(isXetError(new Other())).toBe(true);
    expect(isXetError(new Other(), 'GATED')).toBe(true);
  });

  test.each([
    undefined,
    null,
    'XetError',
    {},
    { name: 'XetError', code: 'GATED' },
    new Error('x'),
    Object.assign(new Error('x'), { code: 'GATED' }),
    Object.assign(new Error('x'), { name: 'XetError' }),
    new DOMException('x', 'AbortError'),
  ])('%j is none', (value) => expect(isXetError(value)).toBe(false));
});

describe('publicUrl', () => {
  test.each([
    ['https://hub.test/a/b?x=1#y', 'https://hub.test/a/b'],
    ['https://user:password@hub.test:8443/a', 'https://hub.test:8443/a'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5000/'],
    ['https://hub.test/a%3Fb', 'https://hub.test/a%3Fb'],
    ['/a/b?x=1', '/a/b'],
    ['', ''],
  ])('of %j is %j', (url, shown) => expect(publicUrl(url)).toBe(shown));

  // An address need not be well-formed to be in an error: it may be the error.
  test.each(['//user:password@hub.test/a', 'https://user:password@[hub.test/a', 'https://user:password@'])(
    'of %j shows no password',
    (url) => expect(publicUrl(url)).not.toContain('password'),
  );

  test('never shows a query, whatever is before it', () => {
    holds(500, fc.tuple(fc.oneof(fc.webUrl(), fc.string()), fc.constantFrom('?', '#')), ([url, mark]) => {
      expect(publicUrl(`${url}${mark}token=hf_secret`)).not.toContain('hf_secret');
    });
  });
});
