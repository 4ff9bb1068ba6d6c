import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { MemoryBudget } from '../../src/core/budget.ts';
import { parseJson } from '../../src/core/json-in-turns.ts';
import { LIST_JSON_BYTES, reconstructionJsonBytes, SMALL_JSON_BYTES } from '../../src/http/json.ts';
import { nodeFetch } from '../../src/http/network-fetch.node.ts';
import type { SendingFetch } from '../../src/http/types.ts';
import { rejectionOf } from '../support/property.ts';
import { inTurn, makeHttp, serve, status } from './server.ts';

afterEach(() => void vi.useRealTimers());

const MIB = 1024 * 1024;
const parse = (text: string) => {
  const steps = parseJson(text);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
};
const repeated = (piece: string, bytes: number) => `[${piece.repeat(Math.floor(bytes / piece.length)).slice(0, -1)}]`;
const headers = { 'content-type': 'application/json' };

describe('JSON that takes many times its length in memory is refused', () => {
  test.each(['{},', '[],', '0,', '[[]],', '{"":{}},', '{"a":{}},', '"\\"",1,'])('%s', (piece) => {
    expect(() => parse(repeated(piece, MIB))).toThrow(/mostly brackets/);
  });

  test.each([101, 200_000])('%i deep', (depth) => {
    const text = `${'['.repeat(depth)}"${'x'.repeat(2 * depth * 8 + 70_000)}"${']'.repeat(depth)}`;
    expect(() => parse(text)).toThrow(/mostly brackets/);
  });
});

describe('honest JSON is not', () => {
  const hash = 'a'.repeat(64);
  test.each([
    ['terms', { hash, unpacked_length: 1, range: { start: 0, end: 1 } }],
    ['ranges of several', { chunks: { start: 0, end: 1 }, bytes: { start: 0, end: 1 } }],
    ['entries', { type: 'file', oid: hash, size: 1, path: 'a', lfs: { oid: hash, size: 1 } }],
    ['names', { rfilename: 'a' }],
    ['strings that look like brackets', '{},[],"\\\\"'],
  ])('%s', (_, value) => {
    const list = Array.from({ length: 20_000 }, () => value);
    expect(parse(JSON.stringify(list))).toEqual(list);
  });
});

test('limits go by the question', () => {
  expect(SMALL_JSON_BYTES).toBe(MIB);
  expect(LIST_JSON_BYTES).toBe(16 * MIB);
  expect([0, 64 * MIB, 2 ** 50].map(reconstructionJsonBytes)).toEqual([MIB, 3 * MIB, 32 * MIB]);
});

test('an answer that is too long is asked for once, and not taken in', async () => {
  const handler = inTurn(status(200, headers, `"${'x'.repeat(3 * MIB)}"`));
  const http = makeHttp({ fetch: nodeFetch });
  const error = await rejectionOf(http.json({ kind: 'hub', url: await serve(handler) }));
  expect(error).toMatchObject({ code: 'PROTOCOL', retryable: false, message: expect.stringContaining('more than') });
  expect(handler.requests).toHaveLength(1);
  expect(http.log.bytes.network).toBeLessThan(2 * MIB);
});

test('what is packed more than fifty times is dropped before it is all unpacked', async () => {
  const packed = gzipSync(`"${'x'.repeat(15 * MIB)}"`);
  const handler = inTurn(
    (_, response) => void response.writeHead(200, { ...headers, 'content-encoding': 'gzip' }).end(packed),
  );
  const http = makeHttp({ fetch: nodeFetch });
  const error = await rejectionOf(http.json({ kind: 'hub', url: await serve(handler) }, LIST_JSON_BYTES));
  expect(error).toMatchObject({ code: 'PROTOCOL', retryable: false, message: expect.stringContaining('packed') });
  expect(http.log.bytes.network).toBeLessThan(6 * MIB);
});

test('a long list of alike entries is taken, packed as well as it goes', async () => {
  const list = Array.from({ length: 30_000 }, (_, index) => ({
    type: 'file',
    path: `data/part-${index}.bin`,
    oid: 'a'.repeat(40),
    size: index,
  }));
  const packed = gzipSync(JSON.stringify(list));
  const url = await serve((_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed));
  const { body } = await makeHttp({ fetch: nodeFetch }).json({ kind: 'hub', url }, LIST_JSON_BYTES);
  expect(body).toEqual(list);
});

test('what is read counts as memory while it is read, and no answer may take more than half of that', async () => {
  const budget = new MemoryBudget(4 * MIB, MIB);
  const http = makeHttp({ memory: budget });
  const url = await serve((request, response) => response.end(`"${'x'.repeat(Number(request.url?.slice(1)))}"`));
  await http.json({ kind: 'hub', url: `${url}/${MIB}` }, 8 * MIB);
  expect(budget.peakBytes).toBe(MIB + 2);
  expect(budget.usedBytes).toBe(0);
  expect(await rejectionOf(http.json({ kind: 'hub', url: `${url}/${3 * MIB}` }, 8 * MIB))).toMatchObject({
    code: 'PROTOCOL',
  });
  expect(budget.usedBytes).toBe(0);
});

/** A body of which a byte comes now and then. */
function trickling(everyMs: number, status = 200): SendingFetch {
  return async (_, init) => {
    let timer: ReturnType<typeof setInterval> | undefined;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        timer = setInterval(() => controller.enqueue(new Uint8Array([0x20])), everyMs);
      },
      cancel: () => clearInterval(timer),
    });
    init?.signal?.addEventListener('abort', () => clearInterval(timer));
    return new Response(stream, { status });
  };
}

describe('a body of which a byte comes every 19 s', () => {
  const patient = {
    timeouts: { connectMs: 20_000, stallMs: 20_000 },
    retry: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1 },
  };

  test('ends when it is read as a whole', async () => {
    vi.useFakeTimers();
    const http = makeHttp({ ...patient, fetch: trickling(19_000) });
    const failed = rejectionOf(http.json({ kind: 'hub', url: 'https://hub.test/' }));
    await vi.advanceTimersByTimeAsync(100_000);
    expect(await failed).toMatchObject({ code: 'STALLED', retryable: true });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('ends when it is content', async () => {
    vi.useFakeTimers();
    const reply = await makeHttp({ ...patient, fetch: trickling(19_000) }).send({
      kind: 'xorb',
      url: 'https://cdn.test/',
    });
    const failed = rejectionOf(
      (async () => {
        for await (const bytes of reply.chunks()) expect(bytes).toHaveLength(1);
      })(),
    );
    await vi.advanceTimersByTimeAsync(100_000);
    expect(await failed).toMatchObject({ code: 'STALLED' });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('explains no error for longer than a moment', async () => {
    vi.useFakeTimers();
    const http = makeHttp({ ...patient, fetch: trickling(1000, 404) });
    const failed = rejectionOf(http.send({ kind: 'cas', url: 'https://cas.test/' }));
    await vi.advanceTimersByTimeAsync(5001);
    expect(await failed).toMatchObject({ code: 'ENTRY_NOT_FOUND', status: 404 });
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('a reader that takes its time is no slow server', async () => {
  vi.useFakeTimers();
  const fetch = async () => new Response(new Uint8Array(10));
  const reply = await makeHttp({ fetch }).send({ kind: 'xorb', url: 'https://cdn.test/' });
  const chunks = reply.chunks();
  await chunks.next();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect((await chunks.next()).done).toBe(true);
});
