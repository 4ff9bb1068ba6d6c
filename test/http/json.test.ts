import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isCount, isRecord } from '../../src/core/json-values.ts';
import { readJson } from '../../src/http/json.ts';
import { holds, rejectionOf } from '../support/property.ts';
import { makeHttp, serve, status } from './server.ts';

const get = async (url: string) => makeHttp().send({ kind: 'hub', url });

describe('readJson', () => {
  test('gives the body, with characters that span two network chunks', async () => {
    const body = new TextEncoder().encode(JSON.stringify({ name: 'naïve 🙂' }));
    const url = await serve((_, response) => {
      response.write(body.subarray(0, body.length - 5));
      setTimeout(() => response.end(body.subarray(body.length - 5)), 5);
    });
    expect(await readJson(await get(url))).toEqual({ name: 'naïve 🙂' });
  });

  test.each(['', '{', '<html>', '{"a":1}x', 'undefined'])('%j is PROTOCOL', async (body) => {
    const url = await serve(status(200, {}, body));
    const error = await rejectionOf(readJson(await get(`${url}/api/x?token=secret`)));
    expect(error).toMatchObject({ code: 'PROTOCOL', retryable: true, url: `${url}/api/x` });
    expect(String(error)).not.toContain('secret');
  });

  test('a body of exactly the limit is read, one byte more is refused', async () => {
    const url = await serve((request, response) => response.end(`"${'x'.repeat(Number(request.url?.slice(1)) - 2)}"`));
    expect(await readJson(await get(`${url}/100000`), 100_000)).toHaveLength(99_998);
    expect(await rejectionOf(readJson(await get(`${url}/100001`), 100_000))).toMatchObject({ code: 'PROTOCOL' });
  });

  test('the limit counts bytes, not characters', async () => {
    const url = await serve(status(200, {}, JSON.stringify('€'.repeat(40))));
    expect(await rejectionOf(readJson(await get(url), 100))).toMatchObject({ code: 'PROTOCOL' });
  });
});

test('isCount takes whole numbers that address bytes, and nothing else', () => {
  for (const good of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) expect(isCount(good)).toBe(true);
  const bad = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', null, undefined, true, [1], {}, 1n];
  for (const value of bad) expect(isCount(value)).toBe(false);
});

test('isRecord takes what has named members', () => {
  holds(200, fc.jsonValue(), (value) => {
    expect(isRecord(value)).toBe(Object.prototype.toString.call(value) === '[object Object]');
  });
});
