import { describe, expect, onTestFinished, test } from 'vitest';
import type { XetReaderOptions } from '../../src/client/options.ts';
import { BaseXetReader, bareParts } from '../../src/client/reader.ts';
import { readerPlatform } from '../../src/client/reader-platform.web.ts';
import { threadCodec, xetCaches } from '../../src/client/xet-client.ts';
import { createXetFetch, XetReader } from '../../src/entries/read.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';
import { freshCacheDir, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const noise = randomBytes(3_000_000, 1);
const notes = Buffer.from('# Notes\n');

/** The reader as pages have it. */
class WebReader extends BaseXetReader {
  constructor(options: XetReaderOptions) {
    super(...bareParts(options, readerPlatform));
  }
}

/** A reader from the sources, where there is no worker to be found: it decodes on the calling thread. */
function readerOf(hub: LocalHub, options: XetReaderOptions = {}): XetReader {
  const reader = new XetReader({
    endpoint: hub.url,
    accessToken: '',
    workers: 0,
    codec: threadCodec,
    retry: { baseDelayMs: 1, maxDelayMs: 5 },
    ...options,
  });
  onTestFinished(() => reader.close());
  return reader;
}

async function hubWithFiles(): Promise<LocalHub> {
  const hub = await sourceHub();
  await hub.commitFiles(repo, { noise }, { xet: 'always' });
  await hub.commitFiles(repo, { 'notes.md': notes }, { xet: 'never' });
  return hub;
}

const asked = (hub: LocalHub, wanted: string) => hub.requests.filter(({ kind }) => kind === wanted).length;
const same = (found: Uint8Array, expected: Uint8Array) => expect(Buffer.compare(found, expected)).toBe(0);

describe('a reader', () => {
  test('reads files of both kinds, whole, in parts and as streams', async () => {
    const hub = await hubWithFiles();
    const reader = readerOf(hub);
    expect(reader.endpoint).toBe(hub.url);
    const info = await reader.fileInfo({ repo, path: 'noise' });
    const file = await reader.open({ repo, path: 'noise' });
    const { path, size, etag, commit, xetHash } = file;
    expect({ path, size, etag, commit, xetHash }).toEqual(info);
    same(new Uint8Array(await file.arrayBuffer()), noise);
    same(new Uint8Array(await new Response(file.stream()).arrayBuffer()), noise);
    same(await file.read(1_000_000, 1_300_000), noise.subarray(1_000_000, 1_300_000));
    same(await file.slice(-5000).read(10, 20), noise.subarray(-4990, -4980));
    same(await file.read(7, 7), noise.subarray(7, 7));
    const text = await reader.open({ repo, path: 'notes.md' });
    expect(await text.text()).toBe('# Notes\n');
    expect(text.xetHash).toBeUndefined();
  });

  test('remembers nothing, and with caches what a client would', async () => {
    const hub = await hubWithFiles();
    const dir = freshCacheDir();
    const without = readerOf(hub);
    const caching = readerOf(hub, { caches: xetCaches, chunkCache: { dir } });
    const rangesFor = async (reader: XetReader) => {
      const file = await reader.open({ repo, path: 'noise' });
      hub.resetRequests();
      same(new Uint8Array(await file.arrayBuffer()), noise);
      return asked(hub, 'xorb');
    };
    expect(await rangesFor(without)).toBeGreaterThan(0);
    expect(await rangesFor(without)).toBeGreaterThan(0);
    expect(await rangesFor(caching)).toBeGreaterThan(0);
    await caching.close();
    expect(await rangesFor(readerOf(hub, { caches: xetCaches, chunkCache: { dir } }))).toBe(0);
  });

  test('fetches corrupt data once more, and gives none', async () => {
    const hub = await hubWithFiles();
    const reader = readerOf(hub);
    const file = await reader.open({ repo, path: 'noise' });
    const once = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 100_000, mask: 4, times: 1 });
    same(new Uint8Array(await file.arrayBuffer()), noise);
    expect(once.hits).toBe(1);
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 100_000, mask: 4, times: 1e9 });
    expect(await rejectionOf(file.arrayBuffer())).toMatchObject({ code: 'INTEGRITY' });
    expect(await rejectionOf(new Response(file.stream()).arrayBuffer())).toMatchObject({ code: 'INTEGRITY' });
  });

  test('goes on over plain HTTP where Xet cannot serve, unless it is told not to', async () => {
    const hub = await hubWithFiles();
    hub.faults.add({ kind: 'reconstruction', action: 'status', status: 500, times: 1e9 });
    const warnings: string[] = [];
    const onWarning = (text: string) => void warnings.push(text);
    same(new Uint8Array(await (await readerOf(hub, { onWarning }).open({ repo, path: 'noise' })).arrayBuffer()), noise);
    expect(warnings).toEqual([expect.stringContaining('plain HTTP')]);
    const strict = await readerOf(hub, { fallback: 'never' }).open({ repo, path: 'noise' });
    expect(await rejectionOf(strict.arrayBuffer())).toMatchObject({ code: 'SERVER' });
  });

  test('stops at once, with the reason, and asks for no more', async () => {
    const hub = await hubWithFiles();
    const reader = readerOf(hub);
    const file = await reader.open({ repo, path: 'noise' });
    const stop = new AbortController();
    const reason = new Error('enough');
    hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 0, times: 1e9 });
    const reading = rejectionOf(file.arrayBuffer({ signal: stop.signal }));
    while (asked(hub, 'xorb') === 0) await new Promise((resolve) => setImmediate(resolve));
    stop.abort(reason);
    expect(await reading).toBe(reason);
    const before = hub.requests.length;
    expect(await rejectionOf(file.arrayBuffer({ signal: stop.signal }))).toBe(reason);
    expect(hub.requests.length).toBe(before);
  });

  test('is of no use once it is closed', async () => {
    const hub = await hubWithFiles();
    const reader = readerOf(hub);
    const file = await reader.open({ repo, path: 'noise' });
    await reader.close();
    expect(await rejectionOf(file.arrayBuffer())).toMatchObject({ code: 'CLOSED' });
    expect(await rejectionOf(reader.open({ repo, path: 'noise' }))).toMatchObject({ code: 'CLOSED' });
  });

  test('asks nobody where no server may be asked', async () => {
    const hub = await hubWithFiles();
    const reader = readerOf(hub, { offline: true });
    expect(await rejectionOf(reader.open({ repo, path: 'noise' }))).toMatchObject({ code: 'OFFLINE' });
    expect(hub.requests).toEqual([]);
  });

  test('of pages takes plain HTTP where there is neither a worker nor a codec, and says what to do', async () => {
    const hub = await hubWithFiles();
    const warnings: string[] = [];
    const options = { endpoint: hub.url, onWarning: (text: string) => void warnings.push(text) };
    const lost = new WebReader(options);
    const strict = new WebReader({ ...options, fallback: 'never' });
    const handed = new WebReader({ ...options, codec: threadCodec });
    onTestFinished(async () => void (await Promise.all([lost, strict, handed].map((one) => one.close()))));
    const target = { repo, path: 'noise' };
    same(new Uint8Array(await (await handed.open(target)).arrayBuffer()), noise);
    expect(warnings).toEqual([]);
    same(new Uint8Array(await (await lost.open(target)).arrayBuffer()), noise);
    expect(warnings).toEqual([expect.stringMatching(/workers cannot be started.*threadCodec.*plain HTTP/)]);
    expect(await rejectionOf((await strict.open(target)).arrayBuffer())).toMatchObject({ code: 'UNSUPPORTED' });
  });

  test.each([
    [{ endpoint: 'nowhere' }, /endpoint/],
    [{ memoryBudget: 5 }, /memoryBudget/],
    [{ concurrency: 0 }, /concurrency/],
  ])('does not take %o', (options, message) => {
    expect(() => new XetReader(options)).toThrow(message);
  });
});

describe('its fetch', () => {
  test('answers for files of the Hub, whole and in ranges, and passes all else on', async () => {
    const hub = await hubWithFiles();
    const passed: string[] = [];
    const original = async (input: RequestInfo | URL, init?: RequestInit) => {
      passed.push(new URL(input instanceof Request ? input.url : input).pathname);
      return fetch(input, init);
    };
    const xetFetch = createXetFetch({
      client: { endpoint: hub.url, accessToken: '', workers: 0, codec: threadCodec },
      fetch: original as typeof fetch,
    });
    onTestFinished(() => xetFetch.close());
    const url = `${hub.url}/${repo}/resolve/main/noise`;
    const whole = await xetFetch(url);
    expect(whole.status).toBe(200);
    expect(whole.headers.get('content-length')).toBe(String(noise.length));
    same(new Uint8Array(await whole.arrayBuffer()), noise);
    const part = await xetFetch(url, { headers: { range: 'bytes=1000-1999' } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 1000-1999/${noise.length}`]);
    same(new Uint8Array(await part.arrayBuffer()), noise.subarray(1000, 2000));
    // Its client asks through the same door: what the path stands for, and then the CAS.
    expect(passed.filter((path) => path.includes('/resolve/'))).toHaveLength(asked(hub, 'resolve'));
    expect(asked(hub, 'xorb')).toBeGreaterThan(0);
    expect(passed).not.toContain(`/api/models/${repo}`);
    const other = await xetFetch(`${hub.url}/api/models/${repo}`);
    expect(await other.json()).toMatchObject({ id: repo });
    expect(passed).toContain(`/api/models/${repo}`);
  });

  test('has the caches that it is handed', async () => {
    const hub = await hubWithFiles();
    const chunkCache = { dir: freshCacheDir() };
    for (const isFirst of [true, false]) {
      const client = {
        endpoint: hub.url,
        accessToken: '',
        workers: 0,
        codec: threadCodec,
        caches: xetCaches,
        chunkCache,
      };
      const xetFetch = createXetFetch({ client });
      hub.resetRequests();
      const answer = await xetFetch(`${hub.url}/${repo}/resolve/main/noise`);
      same(new Uint8Array(await answer.arrayBuffer()), noise);
      expect(asked(hub, 'xorb') > 0).toBe(isFirst);
      await xetFetch.close();
    }
  });
});
