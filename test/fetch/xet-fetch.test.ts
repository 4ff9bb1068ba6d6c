import { createHash } from 'node:crypto';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { XetClient } from '../../src/client/xet-client.ts';
import { isXetError } from '../../src/core/errors.ts';
import { createXetCache, createXetFetch } from '../../src/entries/fetch.ts';
import type { FetchProgress } from '../../src/fetch/xet-fetch.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { clientOptions, countingFetch, digest, fetchFor, hubFor, otherServer, seen } from '../support/fetch.ts';
import { randomBytes, text, weights } from '../support/samples.ts';

const model = weights(12, 1);
const small = text(4000, 2);

async function hubWithModel(): Promise<{ hub: LocalHub; url: string; smallUrl: string }> {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', { 'model.safetensors': model, 'config.json': small });
  const url = `${hub.url}/owner/model/resolve/main`;
  return { hub, url: `${url}/model.safetensors`, smallUrl: `${url}/config.json` };
}

const whole = async (response: Response) => new Uint8Array(await response.arrayBuffer());

describe('bodies of createXetFetch', () => {
  test('a body is fetched over Xet, not over the bridge', async () => {
    const { hub, url } = await hubWithModel();
    const response = await fetchFor(hub)(url);
    expect(digest(await whole(response))).toBe(digest(model));
    expect(seen(hub, 'xorb').length).toBeGreaterThan(0);
    expect(seen(hub, 'bridge')).toEqual([]);
  });

  test('a body is fetched only when it is read', async () => {
    const { hub, url } = await hubWithModel();
    const response = await fetchFor(hub)(url);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(hub.requests.map(({ kind }) => kind)).toEqual(['resolve']);
    await response.body?.cancel();
  });

  test("a repeated body comes from the client's caches", async () => {
    const { hub, url } = await hubWithModel();
    const xetFetch = fetchFor(hub);
    await whole(await xetFetch(url));
    hub.resetRequests();
    expect(digest(await whole(await xetFetch(url)))).toBe(digest(model));
    expect(seen(hub, 'xorb')).toEqual([]);
  });

  test("a body can be read into the reader's own buffer", async () => {
    const { hub, url } = await hubWithModel();
    const response = await fetchFor(hub)(url);
    const reader = response.body!.getReader({ mode: 'byob' });
    const hash = createHash('sha256');
    let buffer = new ArrayBuffer(50_000);
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) break;
      hash.update(value);
      buffer = value.buffer;
    }
    expect(hash.digest('hex')).toBe(digest(model));
  });

  test('both clones of a response have the whole body', async () => {
    const { hub, url } = await hubWithModel();
    const response = await fetchFor(hub)(url);
    const copy = response.clone();
    expect([copy.url, copy.status, copy.headers.get('etag')]).toEqual([url, 200, response.headers.get('etag')]);
    const both = await Promise.all([whole(response), whole(copy)]);
    expect(both.map(digest)).toEqual([digest(model), digest(model)]);
    expect(copy.clone).toBeDefined();
  });

  test('a body can be read as text and as JSON', async () => {
    const hub = await hubFor();
    await hub.commitFiles('owner/model', { 'config.json': new TextEncoder().encode('{"a":"ü"}') });
    const url = `${hub.url}/owner/model/resolve/main/config.json`;
    expect(await (await fetchFor(hub)(url)).json()).toEqual({ a: 'ü' });
    expect(await (await fetchFor(hub)(url)).text()).toBe('{"a":"ü"}');
  });

  test('cancelling a body ends the download', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.bytesPerSecond = 500_000;
    const response = await fetchFor(hub)(url);
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    const sent = () => hub.requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const [requests, bytes] = [hub.requests.length, sent()];
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(hub.requests.length).toBe(requests);
    expect(sent()).toBe(bytes);
  });

  test('a corrupt body fails, and is not fetched over plain HTTP', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 100_000, times: 1e9 });
    const warnings: string[] = [];
    const response = await fetchFor(hub, { onWarning: (message) => warnings.push(message) })(url);
    const error = await whole(response).catch((caught: unknown) => caught);
    expect(isXetError(error, 'INTEGRITY')).toBe(true);
    expect(seen(hub, 'bridge')).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test('many ranges can be requested at once', async () => {
    const { hub, url } = await hubWithModel();
    const xetFetch = fetchFor(hub);
    const starts = Array.from({ length: 40 }, (_, index) => index * 300_000);
    const parts = await Promise.all(
      starts.map(async (start) => whole(await xetFetch(url, { headers: { range: `bytes=${start}-${start + 999}` } }))),
    );
    for (const [index, part] of parts.entries()) {
      expect(part).toEqual(model.slice(starts[index], starts[index]! + 1000));
    }
    // The metadata of the file is requested once.
    expect(seen(hub, 'resolve').length).toBe(1);
  });
});

describe('cached metadata of createXetFetch', () => {
  const range = { range: 'bytes=0-9' };

  test('cached metadata is used for ranges, but not for whole files, conditions or fresh requests', async () => {
    const { hub, url } = await hubWithModel();
    const xetFetch = fetchFor(hub);
    const asks = async (init?: RequestInit) => {
      hub.resetRequests();
      await (await xetFetch(url, init)).body?.cancel();
      return seen(hub, 'resolve').length;
    };
    expect(await asks({ method: 'HEAD' })).toBe(1);
    expect(await asks({ headers: range })).toBe(0);
    expect(await asks({ headers: { range: 'bytes=-100' } })).toBe(0);
    expect(await asks()).toBe(1);
    expect(await asks({ method: 'HEAD' })).toBe(1);
    expect(await asks({ headers: { ...range, 'if-range': '"x"' } })).toBe(1);
    expect(await asks({ headers: { 'if-none-match': '"x"' } })).toBe(1);
    expect(await asks({ headers: { ...range, 'cache-control': 'no-cache' } })).toBe(1);
    expect(await asks({ headers: range, cache: 'no-store' })).toBe(1);
  });

  test('a missing file is looked up again', async () => {
    const { hub, url } = await hubWithModel();
    const xetFetch = fetchFor(hub);
    const later = url.replace('model.safetensors', 'later.txt');
    expect((await xetFetch(later, { headers: range })).status).toBe(404);
    await hub.commitFiles('owner/model', { 'later.txt': small });
    expect((await xetFetch(later, { headers: range })).status).toBe(206);
  });
});

describe('aborts of createXetFetch', () => {
  const reason = new Error('enough');
  const aborted = AbortSignal.abort(reason);

  test('an abort before the call rejects with its reason', async () => {
    const { hub, url } = await hubWithModel();
    const xetFetch = fetchFor(hub);
    await expect(xetFetch(url, { signal: aborted })).rejects.toBe(reason);
    await expect(xetFetch(new Request(url, { signal: aborted }))).rejects.toBe(reason);
    expect(hub.requests).toEqual([]);
    const taken = await xetFetch(new Request(url, { signal: aborted }), { signal: null });
    expect(taken.status).toBe(200);
    await taken.body?.cancel();
  });

  test('an abort during the request to the Hub rejects with its reason', async () => {
    const { hub, url } = await hubWithModel();
    // The Hub holds its answer for longer than any test lasts: only the abort can end this.
    const held = hub.faults.add({ kind: 'resolve', action: 'delay', ms: 3_600_000 });
    const stop = new AbortController();
    const asking = fetchFor(hub)(url, { signal: stop.signal }).catch((error: unknown) => error);
    await vi.waitFor(() => expect(held.hits).toBe(1));
    stop.abort(reason);
    expect(await asking).toBe(reason);
    expect(seen(hub, 'resolve').map(({ status }) => status)).toEqual([0]);
  });

  test('an abort of one of two equal requests does not affect the other', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.latencyMs = 100;
    const xetFetch = fetchFor(hub);
    const stop = new AbortController();
    const headers = { range: 'bytes=0-9' };
    const asking = [xetFetch(url, { headers, signal: stop.signal }), xetFetch(url, { headers })];
    setTimeout(() => stop.abort(reason), 20);
    await expect(asking[0]).rejects.toBe(reason);
    expect((await asking[1])!.status).toBe(206);
    expect(seen(hub, 'resolve').length).toBe(1);
  });

  test('an abort in the middle of a body ends the download', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.bytesPerSecond = 1_000_000;
    const stop = new AbortController();
    for (const request of [new Request(url, { signal: stop.signal })]) {
      const response = await fetchFor(hub)(request);
      const reader = response.body!.getReader();
      await reader.read();
      setTimeout(() => stop.abort(reason), 20);
      const rest = async () => {
        while (!(await reader.read()).done);
      };
      await expect(rest()).rejects.toBe(reason);
    }
    const requests = hub.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(hub.requests.length).toBe(requests);
  });
});

describe('progress of createXetFetch', () => {
  test('progress of whole files and ranges is reported by URL', async () => {
    const { hub, url, smallUrl } = await hubWithModel();
    const reports: [string, FetchProgress][] = [];
    const xetFetch = fetchFor(hub, { onProgress: (...report) => reports.push(report) });
    await whole(await xetFetch(url));
    expect(reports.length).toBeGreaterThan(0);
    expect(reports.every(([at]) => at === url)).toBe(true);
    const counts = reports.map(([, { loaded }]) => loaded);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(reports.map(([, { done }]) => done)).toEqual(reports.map((_, index) => index === reports.length - 1));
    expect(reports.at(-1)![1]).toMatchObject({ loaded: model.length, total: model.length, done: true, etaSeconds: 0 });

    reports.length = 0;
    await whole(await xetFetch(smallUrl, { headers: { range: 'bytes=-10' } }));
    expect(reports.at(-1)).toMatchObject([smallUrl, { loaded: 10, total: 10, done: true }]);
  });

  test('cancelled and failed bodies are never reported as done', async () => {
    const { hub, url } = await hubWithModel();
    const reports: FetchProgress[] = [];
    // Each with caches of its own: what the first one had fetched would do for the second.
    const make = () => fetchFor(hub, { onProgress: (_, progress) => reports.push(progress) });
    const reader = (await make()(url)).body!.getReader();
    await reader.read();
    await reader.cancel();
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 100_000, times: 1e9 });
    await expect(whole(await make()(url, { headers: { range: 'bytes=0-' } }))).rejects.toThrow();
    expect(reports.some(({ done }) => done)).toBe(false);
  });
});

describe('requests that createXetFetch passes on', () => {
  test('other hosts, URLs, methods and options are passed on unchanged', async () => {
    const { hub, url } = await hubWithModel();
    const other = await otherServer();
    const original = countingFetch();
    const xetFetch = fetchFor(hub, { fetch: original });
    const elsewhere = url.replace(hub.url, other.url);
    const requests: Parameters<typeof xetFetch>[] = [
      [elsewhere],
      [new URL(elsewhere), { headers: { range: 'bytes=0-9' } }],
      [new Request(elsewhere, { method: 'POST', body: 'x' })],
      [hub.url],
      [`${hub.url}/api/models/owner/model`],
      [`${hub.url}/api/models/owner/model/tree/main?recursive=true`, { headers: { authorization: 'Bearer hf_local' } }],
      [url.replace('/resolve/', '/raw/')],
      [`${url}?other=1`],
      [url, { method: 'POST', body: 'x' }],
      [url, { method: 'OPTIONS' }],
      [url, { redirect: 'manual' }],
      [new Request(url, { redirect: 'error' })],
      [url, { headers: { accept: 'application/vnd.xet-fileinfo+json, */*', range: 'bytes=0-0' } }],
      [url, { headers: { authorization: 'Basic eDp5' } }],
      [url, { integrity: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' }],
      [url, { mode: 'same-origin' }],
    ];
    for (const request of requests) {
      original.calls.length = 0;
      expect(xetFetch.handles(...request)).toBe(false);
      await Promise.resolve(xetFetch(...request))
        .then((response) => response.body?.cancel())
        .catch(() => undefined);
      // The very same arguments, once, and nothing beside.
      expect(original.calls.length).toBe(1);
      expect(original.calls[0]!.length).toBe(request.length);
      for (const [index, argument] of request.entries()) expect(original.calls[0]![index]).toBe(argument);
    }
    expect(other.seen.length).toBe(3);
  });

  test('responses to requests that are passed on are returned unchanged', async () => {
    const { hub } = await hubWithModel();
    const other = await otherServer();
    const response = await fetchFor(hub)(`${other.url}/owner/name/resolve/main/x?a=b`, { headers: { 'x-mine': '1' } });
    expect([response.status, response.url, response.headers.get('content-type')]).toEqual([
      200,
      `${other.url}/owner/name/resolve/main/x?a=b`,
      'text/x-other',
    ]);
    expect(await response.text()).toBe('GET /owner/name/resolve/main/x?a=b');
    expect(other.seen[0]!.headers['x-mine']).toBe('1');
    expect(other.seen[0]!.headers.authorization).toBeUndefined();
  });

  test("an invalid URL fails as in the platform's fetch", async () => {
    const { hub, url } = await hubWithModel();
    const xetFetch = fetchFor(hub);
    await expect(xetFetch('not an address')).rejects.toBeInstanceOf(TypeError);
    await expect(xetFetch('hf://owner/model')).rejects.toBeInstanceOf(TypeError);
    await expect(xetFetch(url, { method: 'GET', body: 'x' })).rejects.toBeInstanceOf(TypeError);
    await expect(xetFetch(url, { headers: [['bad name', 'x']] })).rejects.toBeInstanceOf(TypeError);
  });

  test('an hf:// URL with unsupported options is passed on to the Hub', async () => {
    const { hub, url } = await hubWithModel();
    const original = countingFetch();
    const xetFetch = fetchFor(hub, { fetch: original });
    const init: RequestInit = { redirect: 'manual' };
    const response = await xetFetch('hf://owner/model/model.safetensors', init);
    expect([response.status, original.calls.at(-1)]).toEqual([302, [url, init]]);
    const request = new Request('hf://owner/model/model.safetensors', { headers: { accept: 'vnd.xet-fileinfo' } });
    await (await xetFetch(request)).body?.cancel();
    expect((original.calls.at(-1)![0] as Request).url).toBe(url);
    expect((original.calls.at(-1)![0] as Request).headers.get('accept')).toBe('vnd.xet-fileinfo');
  });
});

describe('aliases of createXetFetch', () => {
  test('URLs of an alias are served from the endpoint, unless the request carries a token', async () => {
    const { hub, url } = await hubWithModel();
    const other = await otherServer();
    const xetFetch = fetchFor(hub, { aliases: [other.url] });
    const alias = url.replace(hub.url, other.url);
    const response = await xetFetch(alias);
    expect(response.url).toBe(alias);
    expect(digest(await whole(response))).toBe(digest(model));
    expect(other.seen).toEqual([]);
    const brought = await xetFetch(alias, { headers: { authorization: 'Bearer hf_for_the_other' } });
    expect(await brought.text()).toContain('GET');
    expect(other.seen.length).toBe(1);
    expect(hub.requests.some(({ authorized, kind }) => authorized && kind === 'resolve')).toBe(false);
  });
});

describe('createXetFetch as the global fetch', () => {
  test('no client calls the global fetch that it serves', async () => {
    const { hub, url, smallUrl } = await hubWithModel();
    const platform = globalThis.fetch;
    onTestFinished(() => {
      globalThis.fetch = platform;
    });
    const client = new XetClient(clientOptions(hub));
    onTestFinished(() => client.close());
    for (const given of [clientOptions(hub), client]) {
      globalThis.fetch = platform;
      globalThis.fetch = createXetFetch({ client: given });
      hub.resetRequests();
      expect(digest(await whole(await fetch(url)))).toBe(digest(model));
      expect(digest(await whole(await fetch(smallUrl)))).toBe(digest(small));
      expect(seen(hub, 'resolve').length).toBe(2);
    }
  });

  test('two of them can be nested', async () => {
    const { hub, smallUrl } = await hubWithModel();
    const platform = globalThis.fetch;
    onTestFinished(() => {
      globalThis.fetch = platform;
    });
    globalThis.fetch = createXetFetch({ client: clientOptions(hub) });
    globalThis.fetch = createXetFetch({ client: clientOptions(hub) });
    expect(digest(await whole(await fetch(smallUrl)))).toBe(digest(small));
  });
});

describe('failures of createXetFetch', () => {
  test('a request to a Hub without Xet is passed on once, with a warning', async () => {
    const { hub, url } = await hubWithModel();
    // A mirror that has the bytes, and says nothing of commits.
    const mirror = vi.fn(async (input: string | URL | Request, _init?: RequestInit) => {
      const { pathname } = new URL(input instanceof Request ? input.url : input);
      return pathname.includes('/api/') ? new Response('{}') : new Response(small.slice());
    });
    const warnings: string[] = [];
    const options = clientOptions(hub);
    const xetFetch = fetchFor(hub, { client: options, fetch: mirror, onWarning: (message) => warnings.push(message) });
    const init = { headers: { 'x-mine': '1' } };
    expect(digest(await whole(await xetFetch(url, init)))).toBe(digest(small));
    expect(mirror.mock.calls.filter(([, given]) => given === init).length).toBe(1);
    expect(warnings).toEqual([expect.stringContaining('model.safetensors')]);
    const strict = fetchFor(hub, { client: { ...options, fallback: 'never' }, fetch: mirror });
    await expect(strict(url)).rejects.toSatisfy((error) => isXetError(error, 'PROTOCOL'));
  });

  test('without a CAS the client falls back to plain HTTP', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.add({ kind: 'reconstruction', action: 'status', status: 404, times: 1e9 });
    const warnings: string[] = [];
    const client = { ...clientOptions(hub), onWarning: (message: string) => warnings.push(message) };
    expect(digest(await whole(await fetchFor(hub, { client })(url)))).toBe(digest(model));
    expect(warnings).toEqual([expect.stringContaining('plain HTTP')]);
  });

  test('corrupt storage fails the body, even if its tags match', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.add({ kind: 'reconstruction', action: 'status', status: 404, times: 1e9 });
    let whole200 = 0;
    // The target of the Hub's redirect serves wrong ranges and wrong files.
    const lying: typeof fetch = async (input, init) => {
      const headers = new Headers(init?.headers);
      const { pathname } = new URL(input instanceof Request ? input.url : input);
      if (!pathname.includes('/resolve/') || headers.get('accept')?.includes('xet-fileinfo')) return fetch(input, init);
      const wrong = randomBytes(model.length, 99).slice();
      if (!headers.has('range')) whole200++;
      if (!headers.has('range')) return new Response(wrong);
      const range = { 'content-range': `bytes 7-${model.length - 1}/${model.length}` };
      return new Response(wrong.subarray(7), { status: 206, headers: range });
    };
    for (const headers of [{}, { range: 'bytes=100-' }] as Record<string, string>[]) {
      const answer = await fetchFor(hub, { fetch: lying })(url, { headers });
      await expect(answer.arrayBuffer()).rejects.toSatisfy((error) => isXetError(error));
      const answered = await createXetCache({ client: clientOptions(hub), fetch: lying }).match(
        new Request(url, { headers }),
      );
      await expect(answered?.arrayBuffer()).rejects.toSatisfy((error) => isXetError(error));
    }
    expect(whole200).toBe(0);
  });

  test('an unreachable Hub rejects', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.add({ kind: 'resolve', action: 'refuse', times: 1e9 });
    await expect(fetchFor(hub)(url)).rejects.toSatisfy((error) => isXetError(error, 'NETWORK'));
  });

  test('a 429 of the Hub is returned', async () => {
    const { hub, url } = await hubWithModel();
    const headers = { 'retry-after': '7000' };
    hub.faults.add({ kind: 'resolve', action: 'status', status: 429, headers, body: 'slow down', times: 1e9 });
    const response = await fetchFor(hub)(url);
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7000']);
    expect(await response.text()).toBe('slow down');
  });

  test('a server error of the Hub is returned', async () => {
    const { hub, url } = await hubWithModel();
    hub.faults.add({ kind: 'resolve', action: 'status', status: 503, body: 'down', times: 1e9 });
    const response = await fetchFor(hub)(url);
    expect([response.status, response.statusText, await response.text()]).toEqual([503, 'Service Unavailable', 'down']);
  });

  test('a closed fetch rejects', async () => {
    const { hub, url } = await hubWithModel();
    const xetFetch = fetchFor(hub);
    await xetFetch.close();
    await expect(xetFetch(url)).rejects.toSatisfy((error) => isXetError(error, 'CLOSED'));
  });
});

test('files of sizes around a chunk are served whole and in parts', async () => {
  const hub = await hubFor();
  const sizes = [1, 8191, 65_536, 131_073, 300_000];
  const files = Object.fromEntries(sizes.map((size) => [`${size}.bin`, randomBytes(size, size)]));
  await hub.commitFiles('owner/model', files);
  const xetFetch = fetchFor(hub);
  for (const [name, bytes] of Object.entries(files)) {
    const url = `hf://owner/model/${name}`;
    expect(digest(await whole(await xetFetch(url)))).toBe(digest(bytes));
    const half = bytes.length >> 1;
    const end = await xetFetch(url, { headers: { range: `bytes=${half}-` } });
    expect(end.headers.get('content-range')).toBe(`bytes ${half}-${bytes.length - 1}/${bytes.length}`);
    expect(digest(await whole(end))).toBe(digest(bytes.subarray(half)));
  }
});
