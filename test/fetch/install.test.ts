import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { XetClient } from '../../src/client/xet-client.ts';
import { installXet } from '../../src/entries/service-worker.ts';
import { type InstallXetOptions, installFetcher } from '../../src/fetch/install.ts';
import type { PageLike, ServiceWorkerScope } from '../../src/fetch/keep-alive.ts';
import { AWAKE, isAwakeMessage, onXetProgress, type XetProgressMessage } from '../../src/fetch/worker-messages.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { clientOptions, countingFetch, digest, hubFor } from '../support/fetch.ts';
import { randomBytes, weights } from '../support/samples.ts';

const model = weights(6, 1);
const large = randomBytes(34_000_000, 2);

interface Page extends PageLike {
  heard: XetProgressMessage[];
  /** Number of pings received. */
  asked: number;
  /** True if the page replies to pings. */
  listens: boolean;
}

/** As much of a service worker as is asked for, with these pages in its charge. */
async function installed(
  options: InstallXetOptions = {},
  kinds: Record<string, 'listens' | 'deaf' | 'worker' | 'waiting'> = {},
  finishesBodies = false,
) {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', {
    'model.bin': model,
    'small.bin': model.slice(0, 500_000),
    empty: new Uint8Array(),
  });
  const listeners = new Map<string, (event: Event) => void>();
  const pages = Object.entries(Object.keys(kinds).length > 0 ? kinds : { page: 'listens' }).map(([id, kind]): Page => {
    const page: Page = {
      id,
      type: kind === 'worker' || kind === 'waiting' ? 'worker' : 'window',
      heard: [],
      asked: 0,
      listens: kind === 'listens',
      postMessage(message) {
        if (!isAwakeMessage(message)) return void page.heard.push(message as XetProgressMessage);
        page.asked++;
        if (!page.listens) return;
        const answer = { data: AWAKE, source: { id } } as unknown as Event;
        setTimeout(() => listeners.get('message')?.(answer), 1);
      },
    };
    return page;
  });
  const claim = vi.fn(async () => undefined);
  const scope: ServiceWorkerScope = {
    addEventListener: (type, listener) => void listeners.set(type, listener),
    clients: {
      // As Firefox does for a worker that waits in a synchronous request.
      get: async (id) =>
        kinds[id] === 'waiting' ? new Promise(() => undefined) : pages.find((page) => page.id === id),
      matchAll: async ({ type }) => pages.filter((page) => page.type === type),
      claim,
    },
  };
  const { retry, chunkCache, accessToken } = clientOptions(hub);
  const client = { endpoint: hub.url, retry, chunkCache, accessToken, ...options.client };
  const original = countingFetch();
  const xet = installFetcher(
    scope,
    { fetch: original, ...options, client },
    {
      makeClient: (made) => new XetClient(made),
      finishesBodies,
    },
  );
  onTestFinished(() => xet.close());

  /** Has a page ask; undefined if that goes its way. */
  const ask = (request: Request, clientId = pages[0]!.id) => {
    let response: Promise<Response> | undefined;
    const respondWith = (given: Promise<Response>) => {
      response = given;
    };
    listeners.get('fetch')?.({ request, clientId, respondWith } as unknown as Event);
    return response;
  };
  const page = (id: string) => pages.find((one) => one.id === id)!;
  return { hub, url: `${hub.url}/owner/model/resolve/main/model.bin`, ask, listeners, claim, page, xet, original };
}

const whole = async (response: Response | undefined) => digest(new Uint8Array(await response!.arrayBuffer()));
const kinds = (hub: LocalHub) => new Set(hub.requests.map(({ kind }) => kind));

describe('installXet', () => {
  test('Hub files are streamed while a page replies to pings', async () => {
    const { hub, url, ask, page } = await installed();
    hub.faults.bytesPerSecond = 4_000_000;
    const answer = await ask(new Request(url));
    const { body, status, headers } = answer!;
    expect([status, headers.get('content-length')]).toEqual([200, String(model.length)]);
    const reader = body!.getReader();
    expect((await reader.read()).value?.length).toBeLessThan(model.length);
    await reader.cancel();
    expect(page('page').asked).toBeGreaterThan(0);
    hub.faults.bytesPerSecond = 0;
    expect(await whole(await ask(new Request(url)))).toBe(digest(model));
    expect(kinds(hub)).not.toContain('bridge');
  });

  test('without such a page, files that arrive soon are buffered', async () => {
    const { hub, url, ask, page } = await installed({}, { page: 'deaf' });
    const answer = await ask(new Request(url));
    expect([answer?.url, answer?.headers.get('etag'), answer?.headers.get('content-length')]).toEqual([
      url,
      expect.stringMatching(/^"[0-9a-f]{64}"$/),
      String(model.length),
    ]);
    // All of it is there: nothing more can go wrong.
    hub.faults.add({ kind: 'any', action: 'refuse', times: 1e9 });
    expect(await whole(answer)).toBe(digest(model));
    expect([page('page').asked, kinds(hub).has('bridge')]).toEqual([1, false]);
  });

  test('without such a page, large files are left to the network with one warning', async () => {
    const warnings: string[] = [];
    const { hub, url, ask, original } = await installed(
      { onWarning: (message) => warnings.push(message) },
      { page: 'deaf' },
    );
    await hub.commitFiles('owner/model', { 'large.bin': large });
    const request = new Request(url.replace('model.bin', 'large.bin'));
    for (let times = 0; times < 2; times++) expect(await whole(await ask(request))).toBe(digest(large));
    expect(original.calls.filter(([input]) => input === request).length).toBe(2);
    expect([kinds(hub).has('bridge'), kinds(hub).has('xorb')]).toEqual([true, false]);
    expect(warnings).toEqual([expect.stringContaining('onXetProgress')]);
    // A part of it is small again.
    const part = await ask(new Request(request, { headers: { range: 'bytes=-1000' } }));
    expect(await whole(part)).toBe(digest(large.subarray(-1000)));
    expect(kinds(hub)).toContain('xorb');
  });

  test('no page is pinged if the browser lets the worker finish', async () => {
    const { hub, url, ask, page } = await installed({}, { page: 'deaf' }, true);
    await hub.commitFiles('owner/model', { 'large.bin': large });
    const answer = await ask(new Request(url.replace('model.bin', 'large.bin')));
    expect(kinds(hub)).not.toContain('xorb');
    expect(await whole(answer)).toBe(digest(large));
    expect([page('page').asked, kinds(hub).has('bridge')]).toEqual([0, false]);
  });

  test('no page is pinged for small files', async () => {
    const { url, ask, page } = await installed({}, { page: 'deaf' });
    expect(await whole(await ask(new Request(url.replace('model.bin', 'small.bin'))))).toBe(
      digest(model.slice(0, 500_000)),
    );
    expect(page('page').asked).toBe(0);
  });

  test('requests of clients that the browser cannot look up are served', async () => {
    const { hub, url, ask, page } = await installed({}, { stuck: 'waiting', one: 'listens' });
    hub.faults.bytesPerSecond = 4_000_000;
    expect(await whole(await ask(new Request(url), 'stuck'))).toBe(digest(model));
    expect(page('one').asked).toBeGreaterThan(0);
    const part = new Request(url, { headers: { range: 'bytes=100-199' } });
    expect(await whole(await ask(part, 'stuck'))).toBe(digest(model.subarray(100, 200)));
    expect(kinds(hub)).not.toContain('bridge');
  });

  test('pages are pinged again during a body, which fails when they stop replying', async () => {
    const { hub, url, ask, page } = await installed();
    hub.faults.bytesPerSecond = 300_000;
    vi.useFakeTimers({ toFake: ['setInterval', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const reader = (await ask(new Request(url)))!.body!.getReader();
    await reader.read();
    const asked = page('page').asked;
    const pass = async (seconds: number) => {
      for (let passed = 0; passed < seconds; passed += 5) {
        vi.advanceTimersByTime(5000);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await pass(60);
    expect(page('page').asked - asked).toBeGreaterThanOrEqual(5);
    page('page').listens = false;
    await pass(40);
    const ended = async () => {
      while (!(await reader.read()).done);
    };
    // Not as if it were whole, which is what Firefox makes of a worker that it stops.
    await expect(ended()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('responses without a body, errors and aborted requests are served', async () => {
    const { url, ask } = await installed();
    const status = async (request: Request) => (await ask(request))?.status;
    expect(await status(new Request(url, { method: 'HEAD' }))).toBe(200);
    expect(await status(new Request(`${url}.missing`))).toBe(404);
    expect(await status(new Request(url.replace('model.bin', 'empty')))).toBe(200);
    expect(await status(new Request(url, { headers: { 'if-none-match': '*' } }))).toBe(304);
    expect(await status(new Request(url, { headers: { range: 'bytes=999999999-' } }))).toBe(416);
    await expect(ask(new Request(url, { signal: AbortSignal.abort('enough') }))).rejects.toBe('enough');
  });

  test('other requests are left to the browser at once', async () => {
    const { hub, url, ask, xet } = await installed();
    for (const request of [
      new Request('https://elsewhere.example/owner/model/resolve/main/model.bin'),
      new Request(`${hub.url}/api/models/owner/model`),
      new Request(url, { method: 'POST', body: 'x' }),
      new Request(url, { redirect: 'manual' }),
    ]) {
      expect([ask(request), xet.handles(request)]).toEqual([undefined, false]);
    }
    expect(hub.requests).toEqual([]);
  });

  test('only the requesting page receives progress', async () => {
    const { url, ask, page } = await installed({}, { page: 'listens', other: 'listens' });
    await whole(await ask(new Request(url)));
    await vi.waitFor(() => expect(page('page').heard.at(-1)?.done).toBe(true));
    const { heard } = page('page');
    expect(heard.every((message) => message.type === 'xetkit-progress' && message.url === url)).toBe(true);
    const counts = heard.map(({ loaded }) => loaded);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(heard.at(-1)).toMatchObject({ loaded: model.length, total: model.length, etaSeconds: 0 });
    expect(page('other').heard).toEqual([]);
  });

  test("all pages receive progress of a worker's request, and any of them can keep the service worker running", async () => {
    const { url, ask, page } = await installed({}, { worker: 'worker', one: 'deaf', two: 'listens' });
    const answer = await ask(new Request(url), 'worker');
    await whole(answer);
    await vi.waitFor(() => expect(page('two').heard.at(-1)?.done).toBe(true));
    expect(page('one').heard).toEqual(page('two').heard);
    expect(page('worker').heard).toEqual([]);
  });

  test('the last progress message of a failed download contains the error', async () => {
    const { hub, url, ask, page } = await installed();
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 100_000, times: 1e9 });
    await expect(whole(await ask(new Request(url)))).rejects.toMatchObject({ code: 'INTEGRITY' });
    await vi.waitFor(() => expect(page('page').heard.at(-1)?.error).toMatchObject({ code: 'INTEGRITY' }));
    expect(page('page').heard.some(({ done }) => done)).toBe(false);
  });

  test('progress: false sends no messages', async () => {
    const { url, ask, page } = await installed({ progress: false });
    await whole(await ask(new Request(url)));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(page('page').heard).toEqual([]);
  });

  test('open pages are claimed unless claim is false', async () => {
    for (const [claim, times] of [
      [undefined, 1],
      [false, 0],
    ] as const) {
      const { listeners, claim: claimed } = await installed(claim === undefined ? {} : { claim });
      const waitUntil = vi.fn();
      listeners.get('activate')?.({ waitUntil } as unknown as Event);
      expect([claimed.mock.calls.length, waitUntil.mock.calls.length]).toEqual([times, times]);
    }
  });

  test('no codec workers are started, and no warning is given', async () => {
    const warnings: string[] = [];
    const { url, ask } = await installed({ onWarning: (message) => warnings.push(message) });
    await whole(await ask(new Request(url)));
    expect(warnings).toEqual([]);
  });
});

describe('onXetProgress', () => {
  const progress = {
    type: 'xetkit-progress',
    url: 'https://hub.example/x',
    loaded: 1,
    total: 2,
    bytesPerSecond: 1,
    etaSeconds: 1,
    done: false,
  };

  test('a page receives progress, replies to pings, and can stop listening', () => {
    const source = { postMessage: vi.fn() };
    const startMessages = vi.fn();
    const container = Object.assign(new EventTarget(), { startMessages });
    const say = (data: unknown) => container.dispatchEvent(Object.assign(new Event('message'), { data, source }));
    const heard: XetProgressMessage[] = [];
    const stop = onXetProgress((one) => heard.push(one), { container });
    expect(startMessages).toHaveBeenCalledTimes(1);
    for (const data of [progress, { ...progress, loaded: 2 }, 'other', { type: 'other' }, null]) say(data);
    expect(heard.map(({ loaded }) => loaded)).toEqual([1, 2]);
    expect(source.postMessage).not.toHaveBeenCalled();
    say(AWAKE);
    expect(source.postMessage.mock.calls).toEqual([[AWAKE]]);
    stop();
    say(progress);
    say(AWAKE);
    expect([heard.length, source.postMessage.mock.calls.length]).toEqual([2, 1]);
  });
});

const invalid = expect.objectContaining({ name: 'XetError', code: 'INVALID_ARGUMENT' });

test.each([undefined, null, 5, 'text', [], {}, { addEventListener: 5 }, { addEventListener() {} }])(
  'what is no scope of a service worker is refused: %o',
  (scope) => {
    expect(() => installXet(scope as never)).toThrow(invalid);
  },
);

test.each([null, 5, 'text', {}])('what is no listener is refused: %o', (listener) => {
  expect(() => onXetProgress(listener as never, { container: new EventTarget() })).toThrow(invalid);
});

test.each([null, 5, { container: null }, { container: {} }, { nope: 1 }])(
  'what are no options of a listener is refused: %o',
  (options) => {
    expect(() => onXetProgress(() => undefined, options as never)).toThrow(invalid);
  },
);

test('a page without service workers is told why', () => {
  expect(() => onXetProgress()).toThrow(expect.objectContaining({ name: 'XetError', code: 'UNSUPPORTED' }));
});
