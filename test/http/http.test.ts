import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { isXetError, type XetError } from '../../src/core/errors.ts';
import { MetricsLog } from '../../src/core/metrics.ts';
import type { Http } from '../../src/http/http.ts';
import type { Fetch, Reply, RetryNotice } from '../../src/http/types.ts';
import { rejectionOf } from '../support/property.ts';
import { inTurn, makeHttp, serve, status } from './server.ts';

afterEach(() => {
  vi.useRealTimers();
});

const ok = status(200, {}, 'hello');
const never = () => undefined;
/** A head and some of the body, and then silence. */
const halfBody = (_: IncomingMessage, response: ServerResponse) => {
  response.writeHead(200, { 'content-length': '10' });
  response.write('hello');
};
const reset = (request: IncomingMessage) => {
  request.socket.resetAndDestroy();
};
const read = (reply: Reply) => reply.text(1000);

/** What a door has noted of what went through it. */
const counted = ({ log }: Http) => ({
  requests: { ...log.requests },
  retries: Object.values(log.retries).reduce((sum, count) => sum + count, 0),
  network: log.bytes.network,
});

describe('attempts', () => {
  test.each([408, 429, 500, 502, 503, 504])('%i is tried again', async (code) => {
    const handler = inTurn(status(code), status(code), ok);
    const notices: RetryNotice[] = [];
    const http = makeHttp({ onRetry: (notice) => notices.push(notice) });
    const url = await serve(handler);
    expect(await read(await http.send({ kind: 'cas', url: `${url}/x?sig=secret` }))).toBe('hello');
    expect(counted(http)).toEqual({ requests: { hub: 0, cas: 3, xorb: 0, source: 0 }, retries: 2, network: 5 });
    expect(handler.requests).toHaveLength(3);
    expect(notices).toMatchObject([
      { kind: 'cas', url: `${url}/x`, attempt: 1, attempts: 3, delayMs: 0.5, error: { status: code } },
      { kind: 'cas', url: `${url}/x`, attempt: 2, attempts: 3, delayMs: 1, error: { status: code } },
    ]);
    expect(JSON.stringify(notices)).not.toContain('secret');
  });

  test.each([400, 401, 403, 404, 410, 416, 501, 505])('%i is not', async (code) => {
    const handler = inTurn(status(code), ok);
    const http = makeHttp();
    expect(await rejectionOf(http.send({ kind: 'xorb', url: await serve(handler) }))).toMatchObject({ status: code });
    expect(counted(http)).toMatchObject({ requests: { xorb: 1 }, retries: 0 });
    expect(handler.requests).toHaveLength(1);
  });

  test('they end, and the last error is the answer', async () => {
    const handler = inTurn(status(500), status(502), status(503), ok);
    const http = makeHttp();
    expect(await rejectionOf(http.send({ kind: 'hub', url: await serve(handler) }))).toMatchObject({ status: 503 });
    expect(handler.requests).toHaveLength(3);
    expect(counted(http)).toMatchObject({ requests: { hub: 3 }, retries: 2 });
    expect(http.log.retries).toEqual({ SERVER: 2 });
  });

  test('a request may have its own number of them', async () => {
    const handler = inTurn(status(500));
    await rejectionOf(makeHttp().send({ kind: 'hub', url: await serve(handler), attempts: 1 }));
    expect(handler.requests).toHaveLength(1);
  });

  test('a broken connection is tried again', async () => {
    const handler = inTurn(reset, ok);
    expect(await read(await makeHttp().send({ kind: 'hub', url: await serve(handler) }))).toBe('hello');
    expect(handler.requests).toHaveLength(2);
  });

  test('the request is the same each time', async () => {
    const handler = inTurn(status(503), ok);
    const url = await serve(handler);
    const headers = { authorization: 'Bearer t', range: 'bytes=0-9' };
    await read(await makeHttp().send({ kind: 'cas', url, method: 'POST', headers, body: 'content' }));
    for (const request of handler.requests) {
      expect(request.method).toBe('POST');
      expect(request.headers).toMatchObject({ ...headers, 'content-length': '7' });
    }
  });
});

describe('waits', () => {
  /** Answers without a server, so that time can stand still. */
  const answering = (...responses: Response[]): Fetch & { calls: number } => {
    const fetch = Object.assign(
      async () => {
        const response = responses[Math.min(fetch.calls, responses.length - 1)];
        fetch.calls++;
        return (response ?? new Response()).clone();
      },
      { calls: 0 },
    );
    return fetch;
  };

  test.each([
    ['Retry-After in seconds', { 'retry-after': '30' }],
    ['Retry-After as a date', { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }],
    ['RateLimit', { ratelimit: '"api";r=0;t=29' }],
  ] as [string, Record<string, string>][])('%s is obeyed', async (_, headers) => {
    vi.useFakeTimers({ now: Date.parse('2026-01-01T00:00:00Z') });
    const fetch = answering(new Response(null, { status: 429, headers }), new Response('hello'));
    const sent = makeHttp({ fetch }).send({ kind: 'hub', url: 'https://hub.test/' });
    await vi.advanceTimersByTimeAsync(29_999);
    expect(fetch.calls).toBe(1);
    await vi.advanceTimersByTimeAsync(10);
    expect((await sent).status).toBe(200);
    expect(fetch.calls).toBe(2);
  });

  test('a wait beyond all patience is a refusal', async () => {
    const fetch = answering(new Response(null, { status: 429, headers: { 'retry-after': '86400' } }));
    const http = makeHttp({ fetch });
    expect(await rejectionOf(http.send({ kind: 'hub', url: 'https://hub.test/' }))).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterMs: 86_400_000,
    });
    expect(counted(http)).toMatchObject({ requests: { hub: 1 }, retries: 0 });
  });

  test('an abort ends the wait', async () => {
    const controller = new AbortController();
    const fetch = answering(new Response(null, { status: 503, headers: { 'retry-after': '500' } }));
    const http = makeHttp({ fetch, onRetry: () => queueMicrotask(() => controller.abort('enough')) });
    const sent = http.send({ kind: 'hub', url: 'https://hub.test/', signal: controller.signal });
    expect(await rejectionOf(sent)).toBe('enough');
    expect(fetch.calls).toBe(1);
  });
});

describe('abort', () => {
  test('before the request sends nothing', async () => {
    const handler = inTurn(ok);
    const http = makeHttp();
    const url = await serve(handler);
    const reason = new Error('mine');
    expect(await rejectionOf(http.send({ kind: 'hub', url, signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(http.log.totalRequests).toBe(0);
    expect(handler.requests).toHaveLength(0);
  });

  test('while waiting for the head rejects with the reason and closes the connection', async () => {
    const controller = new AbortController();
    const reason = new Error('mine');
    let closed: Promise<unknown> = Promise.resolve();
    const url = await serve((request) => {
      closed = new Promise((resolve) => request.socket.once('close', resolve));
      controller.abort(reason);
    });
    expect(await rejectionOf(makeHttp().send({ kind: 'hub', url, signal: controller.signal }))).toBe(reason);
    await closed;
  });

  test('in the middle of the body rejects with the reason and closes the connection', async () => {
    const controller = new AbortController();
    let closed: Promise<unknown> = Promise.resolve();
    const url = await serve((request, response) => {
      closed = new Promise((resolve) => request.socket.once('close', resolve));
      halfBody(request, response);
    });
    const reply = await makeHttp().send({ kind: 'xorb', url, signal: controller.signal });
    const chunks = reply.chunks();
    expect((await chunks.next()).value).toHaveLength(5);
    const next = rejectionOf(chunks.next());
    controller.abort('mine');
    expect(await next).toBe('mine');
    await closed;
  });

  test('while the explanation of an error is read rejects with the reason', async () => {
    const controller = new AbortController();
    const url = await serve((_, response) => {
      response.writeHead(404, { 'content-length': '100' });
      response.write('half of it', () => setTimeout(() => controller.abort('mine'), 5));
    });
    expect(await rejectionOf(makeHttp().send({ kind: 'hub', url, signal: controller.signal }))).toBe('mine');
  });

  test('after the end changes nothing and leaves no listener', async () => {
    const controller = new AbortController();
    const add = vi.spyOn(controller.signal, 'addEventListener');
    const remove = vi.spyOn(controller.signal, 'removeEventListener');
    const url = await serve(inTurn(status(500), ok));
    const reply = await makeHttp().send({ kind: 'hub', url, signal: controller.signal });
    expect(await read(reply)).toBe('hello');
    const removed = new Set(remove.mock.calls.map(([, listener]) => listener));
    for (const [, listener] of add.mock.calls) expect(removed).toContain(listener);
  });
});

describe('silence and breaks', () => {
  test('no head is TIMEOUT, on every attempt', async () => {
    const handler = inTurn(never);
    const http = makeHttp({ timeouts: { connectMs: 30, stallMs: 20_000 } });
    const url = await serve(handler);
    expect(await rejectionOf(http.send({ kind: 'hub', url: `${url}/x?sig=secret` }))).toMatchObject({
      code: 'TIMEOUT',
      retryable: true,
      url: `${url}/x`,
      message: expect.not.stringContaining('secret'),
    });
    expect(handler.requests).toHaveLength(3);
  });

  test('a body that falls silent is STALLED', async () => {
    const http = makeHttp({ timeouts: { connectMs: 20_000, stallMs: 30 } });
    const url = await serve(halfBody);
    const reply = await http.send({ kind: 'xorb', url: `${url}/x?sig=secret` });
    expect(await rejectionOf(read(reply))).toMatchObject({
      code: 'STALLED',
      retryable: true,
      message: expect.not.stringContaining('secret'),
    });
    expect(counted(http).network).toBe(5);
  });

  test('a body whose every gap is short of the limit is not STALLED, however long all of it takes, as long as it comes', async () => {
    vi.useFakeTimers();
    let sent = 0;
    const slow = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        if (sent++ === 12) return controller.close();
        await new Promise((resolve) => setTimeout(resolve, 19_000));
        controller.enqueue(new Uint8Array(20_000 * 16).fill(120));
      },
    });
    const fetch = async () => new Response(slow);
    const reply = await makeHttp({ fetch }).send({ kind: 'xorb', url: 'https://cdn.test/' });
    const body = reply.text(10_000_000);
    await vi.advanceTimersByTimeAsync(12 * 19_000);
    expect(await body).toHaveLength(12 * 20_000 * 16);
  });

  test('a slow reader is not a silent server', async () => {
    vi.useFakeTimers();
    const fetch = async () => new Response('hello');
    const reply = await makeHttp({ fetch }).send({ kind: 'xorb', url: 'https://cdn.test/' });
    const chunks = reply.chunks();
    expect((await chunks.next()).value).toHaveLength(5);
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await chunks.next()).done).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a body that is given up between two pieces leaves no timer behind', async () => {
    vi.useFakeTimers();
    const stop = new AbortController();
    const fetch = async () => new Response(new ReadableStream({ start: (body) => body.enqueue(new Uint8Array(5)) }));
    const reply = await makeHttp({ fetch }).send({ kind: 'xorb', url: 'https://cdn.test/', signal: stop.signal });
    expect((await reply.chunks().next()).value).toHaveLength(5);
    stop.abort();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('an explanation of an error that never comes is STALLED', async () => {
    const handler = inTurn((_, response) => {
      response.writeHead(404, { 'content-length': '100' });
      response.write('half');
    });
    const http = makeHttp({ timeouts: { connectMs: 20_000, stallMs: 30 } });
    const error = await rejectionOf(http.send({ kind: 'hub', url: await serve(handler), attempts: 1 }));
    expect(isXetError(error, 'STALLED', 'ENTRY_NOT_FOUND')).toBe(true);
  });

  test('a reset in the middle of the body is NETWORK', async () => {
    const url = await serve((request, response) => {
      halfBody(request, response);
      setTimeout(() => reset(request), 5);
    });
    const reply = await makeHttp().send({ kind: 'xorb', url });
    expect(await rejectionOf(read(reply))).toMatchObject({ code: 'NETWORK', retryable: true });
  });

  test('a reset before the head is NETWORK', async () => {
    const url = await serve(reset);
    const error = await rejectionOf(makeHttp().send({ kind: 'xorb', url: `${url}/x?sig=secret` }));
    expect(error).toMatchObject({ code: 'NETWORK', retryable: true, url: `${url}/x` });
    expect((error as XetError).cause).toBeInstanceOf(Error);
  });

  test('a server that is not there is NETWORK, with the reason', async () => {
    // The port of a server that has just been closed; the system does not soon give it to another one.
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const error = await rejectionOf(makeHttp().send({ kind: 'hub', url: `http://127.0.0.1:${port}/x?sig=secret` }));
    expect(error).toMatchObject({ code: 'NETWORK', message: expect.not.stringContaining('secret') });
    expect((error as XetError).message).toMatch(/ECONNREFUSED/);
  });

  // Deno's fetch puts the whole address into its message, and reqwest-based ones do the same.
  test('an address in the words of a runtime shows no query', async () => {
    const fetch: Fetch = async (url) => {
      throw new TypeError(`error sending request for url (${url}): connection reset`);
    };
    const error = await rejectionOf(makeHttp({ fetch }).send({ kind: 'xorb', url: 'https://cdn.test/x?sig=secret' }));
    expect(error).toMatchObject({ code: 'NETWORK', message: expect.not.stringContaining('secret') });
  });
});

describe('answers', () => {
  test('text refuses more than it was told to take', async () => {
    const url = await serve(status(200, {}, 'x'.repeat(1001)));
    expect(await rejectionOf(read(await makeHttp().send({ kind: 'hub', url: `${url}/x?sig=secret` })))).toMatchObject({
      code: 'PROTOCOL',
      url: `${url}/x`,
      message: expect.not.stringContaining('secret'),
    });
  });

  test('a status that the caller takes is handed over', async () => {
    const handler = inTurn(status(404, {}, 'nothing here'));
    const reply = await makeHttp().send({ kind: 'cas', url: await serve(handler), accept: [404, 501] });
    expect(reply.status).toBe(404);
    expect(await read(reply)).toBe('nothing here');
  });

  test('a status that the caller takes is not tried again', async () => {
    const handler = inTurn(status(503));
    const http = makeHttp();
    const reply = await http.send({ kind: 'cas', url: await serve(handler), accept: [503] });
    expect(reply.status).toBe(503);
    expect(counted(http).retries).toBe(0);
  });

  test('a dropped answer closes the connection', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const url = await serve((request, response) => {
      closed = new Promise((resolve) => request.socket.once('close', resolve));
      halfBody(request, response);
    });
    const reply = await makeHttp().send({ kind: 'xorb', url });
    reply.drop();
    reply.drop();
    await closed;
    expect(await rejectionOf(read(reply))).toMatchObject({ name: 'XetError' });
  });

  test('a reader that stops early closes the connection', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const url = await serve((request, response) => {
      closed = new Promise((resolve) => request.socket.once('close', resolve));
      halfBody(request, response);
    });
    for await (const chunk of (await makeHttp().send({ kind: 'xorb', url })).chunks()) {
      expect(chunk).toHaveLength(5);
      break;
    }
    await closed;
  });

  test('an answer without a body is empty', async () => {
    const url = await serve(status(204));
    expect(await read(await makeHttp().send({ kind: 'hub', url }))).toBe('');
  });

  test('its address is the one after redirects', async () => {
    const url = await serve((request, response) =>
      request.url === '/from' ? response.writeHead(302, { location: '/to' }).end() : response.end('hello'),
    );
    const reply = await makeHttp().send({ kind: 'hub', url: `${url}/from` });
    expect(reply.url).toBe(`${url}/to`);
    reply.drop();
  });
});

describe('rewriteUrl', () => {
  test('sees the address and its kind, and decides where the request goes', async () => {
    const handler = inTurn(ok);
    const url = await serve(handler);
    const seen: [string, string][] = [];
    const rewriteUrl = (address: string, kind: string) => {
      seen.push([address, kind]);
      return address.replace('https://hub.test', url);
    };
    const http = makeHttp({ rewriteUrl });
    for (const kind of ['hub', 'cas', 'xorb'] as const) {
      expect(await read(await http.send({ kind, url: `https://hub.test/${kind}?a=1` }))).toBe('hello');
    }
    expect(seen).toEqual(['hub', 'cas', 'xorb'].map((kind) => [`https://hub.test/${kind}?a=1`, kind]));
    expect(handler.requests.map((request) => request.url)).toEqual(['/hub?a=1', '/cas?a=1', '/xorb?a=1']);
  });

  test('errors name the address that was asked', async () => {
    const url = await serve(status(404));
    const http = makeHttp({ rewriteUrl: () => `${url}/mirror?key=secret` });
    expect(await rejectionOf(http.send({ kind: 'hub', url: 'https://hub.test/x' }))).toMatchObject({
      url: `${url}/mirror`,
    });
  });
});

test('no-store reaches fetch, and nothing is said where it is not asked for', async () => {
  const caches: (string | undefined)[] = [];
  const fetch: Fetch = async (_, init) => {
    caches.push(init?.cache);
    return new Response();
  };
  const http = makeHttp({ fetch });
  await http.send({ kind: 'xorb', url: 'https://cdn.test/', cache: 'no-store' });
  await http.send({ kind: 'xorb', url: 'https://cdn.test/' });
  expect(caches).toEqual(['no-store', undefined]);
});

test('a part counts for itself, and the whole counts it too', async () => {
  const url = await serve(inTurn(status(503), ok));
  const whole = makeHttp();
  const [first, second] = [whole.with(new MetricsLog(whole.log)), whole.with(new MetricsLog(whole.log))];
  await read(await first.send({ kind: 'cas', url }));
  await read(await second.send({ kind: 'xorb', url }));
  expect(counted(first)).toEqual({ requests: { hub: 0, cas: 2, xorb: 0, source: 0 }, retries: 1, network: 5 });
  expect(counted(second)).toEqual({ requests: { hub: 0, cas: 0, xorb: 1, source: 0 }, retries: 0, network: 5 });
  expect(counted(whole)).toEqual({ requests: { hub: 0, cas: 2, xorb: 1, source: 0 }, retries: 1, network: 10 });
});
