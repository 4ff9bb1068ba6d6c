import { afterEach, describe, expect, test, vi } from 'vitest';
import { CasTokenSource } from '../../src/hub/token.ts';
import { inTurn, json, makeHttp, serve, status } from '../http/server.ts';
import { rejectionOf } from '../support/property.ts';

afterEach(() => {
  vi.useRealTimers();
});

const HOUR_S = 3600;

/** A route that hands out t1, t2 and so on, each good for an hour by a clock that is off by this much. */
async function route(options: { skewMs?: number; lifetimeS?: number; wait?: Promise<unknown> } = {}) {
  const { skewMs = 0, lifetimeS = HOUR_S, wait } = options;
  const requests: (string | undefined)[] = [];
  const url = await serve(async (request, response) => {
    requests.push(request.headers.authorization);
    const accessToken = `t${requests.length}`;
    await wait;
    const now = Date.now() + skewMs;
    // Whole seconds, as the header has them.
    const body = { accessToken, exp: Math.floor(now / 1000) + lifetimeS, casUrl: 'https://cas.test//' };
    json(body, { date: new Date(now).toUTCString() })(request, response);
  });
  return {
    requests,
    source: new CasTokenSource(makeHttp(), `${url}/token`, async () => ({ authorization: 'Bearer hub' })),
  };
}

describe('CasTokenSource', () => {
  test('asks with the Hub token and keeps the answer', async () => {
    const { source, requests } = await route();
    expect(await source.get()).toMatchObject({ accessToken: 't1', casUrl: 'https://cas.test' });
    expect(await source.get()).toMatchObject({ accessToken: 't1' });
    expect(requests).toEqual(['Bearer hub']);
  });

  test('a Hub that is reached by https sends nobody to a CAS that is not', async () => {
    const fetch = async () =>
      Response.json({ accessToken: 't', exp: Date.now() / 1000 + HOUR_S, casUrl: 'http://cas.test' });
    const from = (url: string) => new CasTokenSource(makeHttp({ fetch }), url, async () => ({})).get();
    expect(await rejectionOf(from('https://hub.test/token'))).toMatchObject({ code: 'PROTOCOL', retryable: false });
    expect(await from('http://hub.test/token')).toMatchObject({ casUrl: 'http://cas.test' });
  });

  test.each([
    ['http://127.0.0.1:8080/cas', true],
    ['http://localhost/cas', true],
    ['http://localhost:80@cas.test/', false],
    ['http://localhost.cas.test/', false],
  ])('of a CAS without encryption only one on this machine is believed: %s', async (casUrl, isBelieved) => {
    const fetch = async () => Response.json({ accessToken: 't', exp: Date.now() / 1000 + HOUR_S, casUrl });
    const asked = new CasTokenSource(makeHttp({ fetch }), 'https://hub.test/token', async () => ({})).get();
    if (isBelieved) expect(await asked).toMatchObject({ accessToken: 't' });
    else expect(await rejectionOf(asked)).toMatchObject({ code: 'PROTOCOL' });
  });

  test('many at once are one request', async () => {
    const { source, requests } = await route();
    const tokens = await Promise.all(Array.from({ length: 20 }, () => source.get()));
    expect(new Set(tokens.map(({ accessToken }) => accessToken))).toEqual(new Set(['t1']));
    expect(requests).toHaveLength(1);
  });

  test("one caller's abort fails nobody else", async () => {
    let go: (value: unknown) => void = () => undefined;
    const wait = new Promise((resolve) => {
      go = resolve;
    });
    const { source, requests } = await route({ wait });
    const controller = new AbortController();
    const leaving = rejectionOf(source.get(controller.signal));
    const staying = source.get();
    controller.abort('mine');
    expect(await leaving).toBe('mine');
    go(undefined);
    expect(await staying).toMatchObject({ accessToken: 't1' });
    expect(requests).toHaveLength(1);
  });

  test('a refused token is replaced, once for all who had it', async () => {
    const { source, requests } = await route();
    const { accessToken } = await source.get();
    const tokens = await Promise.all(Array.from({ length: 5 }, () => source.get(undefined, accessToken)));
    expect(tokens.map((token) => token.accessToken)).toEqual(Array(5).fill('t2'));
    expect(requests).toHaveLength(2);
    // Late news about the old one does not cost the new one.
    expect(await source.get(undefined, accessToken)).toMatchObject({ accessToken: 't2' });
    expect(requests).toHaveLength(2);
  });

  test.each([
    ['right', 0],
    ['a day ahead', 86_400_000],
    ['a day behind', -86_400_000],
  ])('is renewed a minute before its end by a server clock that is %s', async (_, skewMs) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-01T00:00:00Z') });
    const { source, requests } = await route({ skewMs });
    await source.get();
    vi.setSystemTime(Date.now() + (HOUR_S - 61) * 1000);
    expect(await source.get()).toMatchObject({ accessToken: 't1' });
    vi.setSystemTime(Date.now() + 2000);
    expect(await source.get()).toMatchObject({ accessToken: 't2' });
    expect(requests).toHaveLength(2);
  });

  test('one that lives for less than two minutes is used for half of its life', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-01T00:00:00Z') });
    const { source } = await route({ lifetimeS: 30 });
    await source.get();
    vi.setSystemTime(Date.now() + 14_000);
    expect(await source.get()).toMatchObject({ accessToken: 't1' });
    vi.setSystemTime(Date.now() + 2000);
    expect(await source.get()).toMatchObject({ accessToken: 't2' });
  });

  test('one that has ended already is handed over once, for the CAS to judge', async () => {
    const { source, requests } = await route({ lifetimeS: -10 });
    expect(await source.get()).toMatchObject({ accessToken: 't1' });
    expect(requests).toHaveLength(1);
  });

  test('a failure is not kept', async () => {
    const handler = inTurn(
      status(403),
      json({ accessToken: 't', exp: Date.now() / 1000 + HOUR_S, casUrl: 'https://cas.test' }),
    );
    const source = new CasTokenSource(makeHttp(), await serve(handler), async () => ({}));
    expect(await rejectionOf(source.get())).toMatchObject({ code: 'FORBIDDEN' });
    expect(await source.get()).toMatchObject({ accessToken: 't' });
  });

  test.each([
    ['[]'],
    ['null'],
    ['{}'],
    ['{"accessToken":"secret","exp":1}'],
    ['{"accessToken":"secret","casUrl":"https://cas.test"}'],
    ['{"accessToken":"secret","casUrl":"https://cas.test","exp":"1"}'],
    ['{"accessToken":1,"casUrl":"https://cas.test","exp":1}'],
    ['{"accessToken":"secret","casUrl":7,"exp":1}'],
    [`{"accessToken":"${'secret'.repeat(20_000)}","casUrl":"https://cas.test","exp":1}`],
  ])('the answer %s is PROTOCOL and is not repeated', async (body) => {
    const source = new CasTokenSource(makeHttp(), await serve(status(200, {}, body)), async () => ({}));
    const error = await rejectionOf(source.get());
    expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
    expect(String(error)).not.toContain('secret');
  });
});
