import { describe, expect, test } from 'vitest';
import { CasClient, type CasVersions } from '../../src/cas/client.ts';
import type { Http } from '../../src/http/http.ts';
import { CasTokenSource } from '../../src/hub/token.ts';
import { inTurn, json, makeHttp, serve, status } from '../http/server.ts';
import { type Layout, toV1, toV2, xorbHash } from '../support/cas-wire.ts';
import { rejectionOf } from '../support/property.ts';

const layout: Layout = {
  offset: 0,
  xorbs: [{ hash: xorbHash(1), ranges: [{ chunks: [0, 3], bytes: [0, 300], url: 'https://cdn.test/x' }] }],
  terms: [{ xorb: 0, chunks: [0, 3], unpackedLength: 3000 }],
};
const file = xorbHash(9);
const range = { start: 0, end: 3000 };

/** A Hub that hands out tokens t1, t2 and so on for the CAS, and a client of both. */
async function clientOf(casUrl: string, http: Http = makeHttp(), versions: CasVersions = new Map()) {
  let given = 0;
  const hub = await serve((request, response) => {
    given++;
    json({ accessToken: `t${given}`, exp: Date.now() / 1000 + 3600, casUrl })(request, response);
  });
  const tokens = new CasTokenSource(http, `${hub}/token`, async () => ({}));
  return { cas: new CasClient(http, tokens, versions), versions, given: () => given };
}

describe('CasClient.reconstruction', () => {
  test('asks the newer form, for the range, with the CAS token', async () => {
    const handler = inTurn(json(toV2(layout)));
    const { cas } = await clientOf(await serve(handler));
    const { terms } = await cas.reconstruction(file, { start: 10, end: 20 });
    expect(terms).toHaveLength(1);
    expect(handler.requests[0]?.url).toBe(`/v2/reconstructions/${file}`);
    expect(handler.requests[0]?.headers).toMatchObject({ range: 'bytes=10-19', authorization: 'Bearer t1' });
  });

  test.each([404, 501])('goes to the older form when the newer one gives %i, and remembers', async (code) => {
    const handler = inTurn(status(code), json(toV1(layout)));
    const { cas } = await clientOf(await serve(handler));
    expect((await cas.reconstruction(file, range)).terms).toHaveLength(1);
    expect((await cas.reconstruction(file, range)).terms).toHaveLength(1);
    expect(handler.requests.map((request) => request.url?.slice(0, 3))).toEqual(['/v2', '/v1', '/v1']);
  });

  test('remembers the newer form', async () => {
    const handler = inTurn(json(toV2(layout)), status(404));
    const { cas } = await clientOf(await serve(handler));
    await cas.reconstruction(file, range);
    expect(await rejectionOf(cas.reconstruction(file, range))).toMatchObject({ code: 'ENTRY_NOT_FOUND', status: 404 });
    expect(handler.requests.map((request) => request.url?.slice(0, 3))).toEqual(['/v2', '/v2']);
  });

  test('a file that no form knows is ENTRY_NOT_FOUND and says nothing about the forms', async () => {
    const handler = inTurn(status(404));
    const { cas, versions } = await clientOf(await serve(handler));
    expect(await rejectionOf(cas.reconstruction(file, range))).toMatchObject({
      code: 'ENTRY_NOT_FOUND',
      message: expect.stringContaining(file),
    });
    expect(versions.size).toBe(0);
  });

  test('416 is ENTRY_NOT_FOUND too: the reference server says so of unknown files', async () => {
    const { cas } = await clientOf(await serve(inTurn(status(416))));
    expect(await rejectionOf(cas.reconstruction(file, range))).toMatchObject({ code: 'ENTRY_NOT_FOUND', status: 416 });
  });

  test('a refused token is replaced once', async () => {
    const handler = inTurn(status(401), json(toV2(layout)));
    const { cas, given } = await clientOf(await serve(handler));
    expect((await cas.reconstruction(file, range)).terms).toHaveLength(1);
    expect(handler.requests.map((request) => request.headers.authorization)).toEqual(['Bearer t1', 'Bearer t2']);
    expect(given()).toBe(2);
  });

  test('a new token that is refused as well is UNAUTHORIZED', async () => {
    const handler = inTurn(status(401));
    const { cas, given } = await clientOf(await serve(handler));
    expect(await rejectionOf(cas.reconstruction(file, range))).toMatchObject({ code: 'UNAUTHORIZED' });
    expect(handler.requests).toHaveLength(2);
    expect(given()).toBe(2);
  });

  test('many that are refused at once ask for one new token', async () => {
    const url = await serve((request, response) => {
      const fresh = request.headers.authorization !== 'Bearer t1';
      (fresh ? json(toV2(layout)) : status(401))(request, response);
    });
    const { cas, given } = await clientOf(url);
    await Promise.all(Array.from({ length: 8 }, () => cas.reconstruction(file, range)));
    expect(given()).toBe(2);
  });

  test('a malformed answer is PROTOCOL', async () => {
    const { cas } = await clientOf(await serve(inTurn(json({ terms: [{}] }))));
    expect(await rejectionOf(cas.reconstruction(file, range))).toMatchObject({ code: 'PROTOCOL' });
  });

  test('a connection that breaks in the middle of the answer is tried again', async () => {
    const whole = JSON.stringify(toV2(layout));
    const handler = inTurn(
      (request, response) => {
        response.writeHead(200, { 'content-length': String(whole.length) });
        response.write(whole.slice(0, 20), () => setTimeout(() => request.socket.resetAndDestroy(), 5));
      },
      json(toV2(layout)),
    );
    const { cas } = await clientOf(await serve(handler));
    expect((await cas.reconstruction(file, range)).terms).toHaveLength(1);
    expect(handler.requests).toHaveLength(2);
  });

  test('an abort rejects with its reason', async () => {
    const controller = new AbortController();
    const { cas } = await clientOf(await serve(() => controller.abort('mine')));
    expect(await rejectionOf(cas.reconstruction(file, range, controller.signal))).toBe('mine');
  });
});

describe('the length of an answer', () => {
  /** One term with an address of its own for each chunk, as long as signed addresses get. */
  const scattered = (chunks: number): Layout => ({
    offset: 0,
    xorbs: [
      {
        hash: xorbHash(1),
        ranges: Array.from({ length: chunks }, (_, at) => ({
          chunks: [2 * at, 2 * at + 1],
          bytes: [at * 90_000, at * 90_000 + 60_000],
          url: `https://cdn.test/${'x'.repeat(900)}`,
        })),
      },
    ],
    terms: Array.from({ length: chunks }, (_, at) => ({
      xorb: 0,
      chunks: [2 * at, 2 * at + 1],
      unpackedLength: 64 * 1024,
    })),
  });

  test('may be that of a file in which every chunk is a term', async () => {
    const { cas } = await clientOf(await serve(inTurn(status(404), json(toV1(scattered(700))))));
    expect((await cas.reconstruction(file, { start: 0, end: 700 * 64 * 1024 })).terms).toHaveLength(700);
  });

  test('is bounded by what was asked for', async () => {
    const padded = { ...(toV2(layout) as object), padding: 'x'.repeat(1_500_000) };
    const { cas } = await clientOf(await serve(inTurn(json(padded))));
    expect(await rejectionOf(cas.reconstruction(file, range))).toMatchObject({ code: 'PROTOCOL' });
    expect((await cas.reconstruction(file, { start: 0, end: 64 * 1024 * 1024 })).terms).toHaveLength(1);
  });
});
