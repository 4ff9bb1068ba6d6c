import {
  createXetCache,
  createXetFetch,
  type FetchProgress,
  onXetProgress,
  type XetFetchOptions,
} from '../../../src/entries/fetch.ts';
import type { XetProgressMessage } from '../../../src/fetch/worker-messages.ts';
import { equal } from '../equal.ts';

/** Parameters of a page. */
export interface Given {
  hub: string;
  /** Tells databases of one page from those of another. */
  run: string;
  files: Record<string, { size: number; sha256: string }>;
  corrupt: string;
  /** True if the browser lets a service worker finish long bodies. */
  letsFinish: boolean;
}

export type Cases = Record<string, () => Promise<void>>;

const PACE_BYTES = 400_000;

async function sha256(bytes: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 100) throw new Error(`In vain: ${what}`);
    await pause(50);
  }
}

/** Requests that the Hub has received. */
async function traffic(): Promise<{ bytes: number; kinds: string[] }> {
  return (await fetch('/traffic')).json();
}

/** Waits for the Hub to send nothing more, which it must soon. */
async function silence(): Promise<void> {
  for (let tries = 0; tries < 15; tries++) {
    const before = (await traffic()).bytes;
    await pause(400);
    if ((await traffic()).bytes === before) return;
  }
  throw new Error('The Hub is still sending');
}

async function slowly(use: () => Promise<void>): Promise<void> {
  await fetch(`/pace?bytes=${PACE_BYTES}`);
  try {
    await use();
  } finally {
    await fetch('/pace?bytes=0');
  }
}

/** Cases for every `fetch` over Xet, in a page or its service worker. */
function anyFetch(given: Given, ask: typeof fetch): Cases {
  const url = (path: string) => `${given.hub}/owner/model/resolve/main/${encodeURIComponent(path)}`;
  const model = given.files['model.safetensors'] ?? { size: 0, sha256: '' };
  return {
    'every file is fetched completely': async () => {
      for (const [path, { size, sha256: hash }] of Object.entries(given.files)) {
        const response = await ask(url(path));
        equal(
          [response.status, response.url, response.headers.get('content-length')],
          [200, url(path), `${size}`],
          path,
        );
        equal(await sha256(await response.arrayBuffer()), hash, path);
      }
    },
    'a body can be read as a stream': async () => {
      const reader = (await ask(url('model.safetensors'))).body?.getReader();
      let bytes = 0;
      for (;;) {
        const piece = await reader?.read();
        if (!piece || piece.done) break;
        bytes += piece.value.length;
      }
      equal(bytes, model.size);
    },
    'a range is served': async () => {
      const whole = await (await ask(url('model.safetensors'))).arrayBuffer();
      for (const [range, start, end] of [
        ['bytes=1000-1999', 1000, 2000],
        ['bytes=-500', model.size - 500, model.size],
        [`bytes=${model.size - 10}-`, model.size - 10, model.size],
      ] as const) {
        const response = await ask(url('model.safetensors'), { headers: { range } });
        equal(response.status, 206);
        equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/${model.size}`);
        equal(await sha256(await response.arrayBuffer()), await sha256(whole.slice(start, end)), range);
      }
      const beyond = await ask(url('model.safetensors'), { headers: { range: 'bytes=999999999-' } });
      equal([beyond.status, beyond.headers.get('content-range')], [416, `bytes */${model.size}`]);
    },
    'a HEAD request is served': async () => {
      const response = await ask(url('model.safetensors'), { method: 'HEAD' });
      const told = ['content-length', 'accept-ranges', 'x-linked-size', 'x-linked-etag'];
      equal(
        [response.status, ...told.map((name) => response.headers.get(name))],
        [200, `${model.size}`, 'bytes', `${model.size}`, `"${model.sha256}"`],
      );
      equal((await response.arrayBuffer()).byteLength, 0);
    },
    'an unchanged file is 304': async () => {
      const etag = (await ask(url('config.json'))).headers.get('etag') ?? '';
      const response = await ask(url('config.json'), { headers: { 'if-none-match': etag } });
      equal(response.status, 304);
    },
    'a missing file is 404': async () => {
      const response = await ask(url('missing.bin'));
      equal([response.status, response.headers.get('x-error-code')], [404, 'EntryNotFound']);
      equal(await response.text(), 'Entry not found');
    },
    'a corrupt body fails': async () => {
      const response = await ask(url(given.corrupt));
      const ended = await response.arrayBuffer().then(
        () => 'whole',
        () => 'failed',
      );
      equal([response.status, ended], [200, 'failed']);
    },
    'an abort ends the download': () =>
      slowly(async () => {
        const stop = new AbortController();
        const response = await ask(url('large.bin'), { signal: stop.signal });
        const reader = response.body?.getReader();
        await reader?.read();
        stop.abort();
        const ended = await (async () => {
          while (!(await reader?.read())?.done);
          return 'whole';
        })().catch((error: Error) => error.name);
        equal(ended, 'AbortError');
        await silence();
      }),
    'cancelling a body ends the download': () =>
      slowly(async () => {
        const reader = (await ask(url('larger.bin'))).body?.getReader();
        await reader?.read();
        await reader?.cancel();
        await silence();
      }),
    'other requests are passed on': async () => {
      const response = await ask(`${given.hub}/api/models/owner/model`);
      equal(((await response.json()) as { id: string }).id, 'owner/model');
      equal((await ask('/page')).headers.get('content-type'), 'text/html');
    },
  };
}

export function inPage(given: Given): Cases {
  const make = (options: XetFetchOptions = {}) =>
    createXetFetch({ client: { endpoint: given.hub, chunkCache: { dir: `page-${given.run}` } }, ...options });
  const url = `${given.hub}/owner/model/resolve/main/model.safetensors`;
  const model = given.files['model.safetensors'] ?? { size: 0, sha256: '' };
  const xetFetch = make();
  return {
    ...anyFetch(given, xetFetch as typeof fetch),
    'progress is reported without warnings': async () => {
      const reports: [string, FetchProgress][] = [];
      const warnings: string[] = [];
      const own = make({ onProgress: (...report) => reports.push(report), onWarning: (text) => warnings.push(text) });
      await (await own(url)).arrayBuffer();
      const [at, last] = reports.at(-1) ?? [];
      equal([at, last?.loaded, last?.total, last?.done], [url, model.size, model.size, true]);
      equal(warnings, []);
      await own.close();
    },
    'a body can be read into the reader’s own buffer': async () => {
      const reader = (await xetFetch(url)).body?.getReader({ mode: 'byob' });
      let [bytes, buffer] = [0, new ArrayBuffer(70_000)];
      for (;;) {
        const piece = await reader?.read(new Uint8Array(buffer));
        if (!piece || piece.done) break;
        bytes += piece.value.length;
        buffer = piece.value.buffer;
      }
      equal(bytes, model.size);
    },
    'createXetFetch can replace the global fetch': async () => {
      const real = globalThis.fetch;
      globalThis.fetch = xetFetch as typeof fetch;
      try {
        for (const path of ['model.safetensors', 'config.json']) {
          const response = await fetch(`${given.hub}/owner/model/resolve/main/${path}`);
          equal(await sha256(await response.arrayBuffer()), given.files[path]?.sha256);
        }
      } finally {
        globalThis.fetch = real;
      }
    },
    'createXetCache finds Hub files': async () => {
      const cache = createXetCache({ client: { endpoint: given.hub, chunkCache: { dir: `cache-${given.run}` } } });
      const response = await cache.match(url);
      equal(await sha256((await response?.arrayBuffer()) ?? new ArrayBuffer()), model.sha256);
      equal(await cache.match(`${url}.missing`), undefined);
      equal(await cache.match('/models/owner/model/config.json'), undefined);
      await cache.close();
    },
    'a relative URL is passed on': async () => {
      equal(xetFetch.handles('/owner/model/resolve/main/model.safetensors'), false);
      const beside = make({ client: { endpoint: location.origin } });
      equal(beside.handles('/owner/model/resolve/main/model.safetensors'), true);
      await beside.close();
    },
  };
}

/** In a page with nothing of ours but its service worker. */
export function underServiceWorker(given: Given): Cases {
  const url = (path: string) => `${given.hub}/owner/model/resolve/main/${path}`;
  const model = given.files['model.safetensors'] ?? { size: 0, sha256: '' };
  const heard: XetProgressMessage[] = [];
  const warnings: string[] = [];
  onXetProgress((message) => heard.push(message));
  navigator.serviceWorker.addEventListener('message', ({ data }) => {
    if (data?.warning) warnings.push(data.warning);
  });
  const of = (path: string) => heard.filter((message) => message.url === url(path));
  return {
    ...anyFetch(given, (...request) => fetch(...request)),
    'all bodies were fetched over Xet': async () => {
      const { kinds } = await traffic();
      equal([kinds.includes('xorb'), kinds.includes('bridge')], [true, false]);
    },
    'progress reaches the page': async () => {
      heard.length = 0;
      await (await fetch(url('model.safetensors'))).arrayBuffer();
      await until(() => heard.at(-1)?.done === true, 'the last message');
      const counts = of('model.safetensors').map(({ loaded }) => loaded);
      equal(
        counts,
        [...counts].sort((a, b) => a - b),
      );
      equal([heard.at(-1)?.loaded, heard.at(-1)?.total], [model.size, model.size]);
    },
    'the error of a download reaches the page': async () => {
      heard.length = 0;
      await (await fetch(url(given.corrupt))).arrayBuffer().catch(() => undefined);
      await until(() => heard.at(-1)?.error !== undefined, 'an error');
      equal(heard.at(-1)?.error?.code, 'INTEGRITY');
    },
    'an image is shown': async () => {
      const image = new Image();
      image.src = url('dot.png');
      await image.decode();
      equal([image.naturalWidth, image.naturalHeight], [1, 1]);
    },
    'a sound plays and seeks': async () => {
      const sound = new Audio();
      // Firefox tells a service worker nothing of media of another origin that are loaded without CORS.
      if (!given.letsFinish) sound.crossOrigin = 'anonymous';
      const event = (name: string) =>
        new Promise<void>((resolve, reject) => {
          sound.addEventListener(name, () => resolve(), { once: true });
          sound.addEventListener('error', () => reject(new Error(sound.error?.message)), { once: true });
        });
      const known = event('loadedmetadata');
      sound.preload = 'auto';
      sound.src = url('sound.wav');
      await known;
      for (const at of [40, 10, 30]) {
        const sought = event('seeked');
        sound.currentTime = at;
        await sought;
      }
      equal(Math.round(sound.duration), 45);
      sound.removeAttribute('src');
      sound.load();
      const { kinds } = await traffic();
      equal(kinds.filter((kind) => kind === 'bridge').length, 0, 'requests past Xet');
    },
    'a synchronous XMLHttpRequest is served': async () => {
      const request = new XMLHttpRequest();
      request.open('GET', url('model.safetensors'));
      request.setRequestHeader('Range', 'bytes=0-99');
      request.responseType = 'arraybuffer';
      const done = new Promise((resolve) => request.addEventListener('loadend', resolve));
      request.send();
      await done;
      const length = (request.response as ArrayBuffer).byteLength;
      equal(
        [request.status, length, request.getResponseHeader('content-range')],
        [206, 100, `bytes 0-99/${model.size}`],
      );
    },
    'a worker’s request is served, and the page receives its progress': async () => {
      heard.length = 0;
      const worker = new Worker('/asker.js', { type: 'module' });
      const answered = new Promise((resolve) => worker.addEventListener('message', ({ data }) => resolve(data)));
      worker.postMessage(url('model.safetensors'));
      equal(await answered, model.size);
      await until(() => heard.at(-1)?.done === true, 'the last message');
      worker.terminate();
    },
    'a worker’s synchronous XMLHttpRequest is served': async () => {
      const worker = new Worker('/asker.js', { type: 'module' });
      const asked = async (range?: string) => {
        const answered = new Promise((resolve) => {
          worker.addEventListener('message', ({ data }) => resolve(data), { once: true });
        });
        worker.postMessage({ url: url('model.safetensors'), range });
        return answered;
      };
      const { size } = model;
      equal(await asked('bytes=0-99'), [206, 100, `bytes 0-99/${size}`]);
      equal(await asked('bytes=-2000000'), [206, 2_000_000, `bytes ${size - 2_000_000}-${size - 1}/${size}`]);
      equal(await asked(), [200, size, null]);
      worker.terminate();
    },
    'many requests at once are served': async () => {
      const ranges = Array.from({ length: 20 }, (_, index) => `bytes=${index * 1000}-${index * 1000 + 999}`);
      const lengths = await Promise.all(
        ranges.map(
          async (range) => (await (await fetch(url('model.safetensors'), { headers: { range } })).blob()).size,
        ),
      );
      equal(
        lengths,
        ranges.map(() => 1000),
      );
    },
    'the page stays responsive meanwhile': async () => {
      let longest = 0;
      let last = performance.now();
      const timer = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 1);
      await (await fetch(url('large.bin'))).blob();
      clearInterval(timer);
      // Decoding all of it takes longer, and is not done here.
      if (longest > 250) throw new Error(`The page stood still for ${longest.toFixed(0)} ms`);
    },
    'there are no warnings': async () => equal(warnings, []),
  };
}

/** In a page that has a service worker, and does not listen to it. */
export function underDeafPage(given: Given): Cases {
  const url = (path: string) => `${given.hub}/owner/model/resolve/main/${path}`;
  const model = given.files['model.safetensors'] ?? { size: 0, sha256: '' };
  return {
    'a file that arrives soon is served over Xet': async () => {
      const response = await fetch(url('model.safetensors'));
      equal([response.url, response.headers.get('content-length')], [url('model.safetensors'), `${model.size}`]);
      equal(await sha256(await response.arrayBuffer()), model.sha256);
      const { kinds } = await traffic();
      equal([kinds.includes('xorb'), kinds.includes('bridge')], [true, false]);
    },
    'corrupt data is refused': async () => {
      const ended = await fetch(url(given.corrupt))
        .then((response) => response.arrayBuffer())
        .then(
          () => 'whole',
          () => 'failed',
        );
      equal(ended, 'failed');
    },
    'a range of a large file is served over Xet': async () => {
      const response = await fetch(url('larger.bin'), { headers: { range: 'bytes=-1000000' } });
      equal([response.status, (await response.arrayBuffer()).byteLength], [206, 1_000_000]);
      equal((await traffic()).kinds.includes('bridge'), false);
    },
    'a large file bypasses Xet unless the worker can finish it': async () => {
      const response = await fetch(url('larger.bin'));
      equal((await response.arrayBuffer()).byteLength, Number(response.headers.get('content-length')));
      equal((await traffic()).kinds.includes('bridge'), !given.letsFinish);
    },
  };
}

/** In a page that listens to its service worker, on a network so slow that the browser would stop that. */
export function onSlowNetwork(given: Given): Cases {
  onXetProgress();
  return {
    'a body that takes longer than a minute completes': async () => {
      await fetch('/pace?bytes=50000');
      const started = performance.now();
      const response = await fetch(`${given.hub}/owner/model/resolve/main/slow.bin`);
      equal((await response.arrayBuffer()).byteLength, Number(response.headers.get('content-length')));
      const seconds = (performance.now() - started) / 1000;
      if (seconds < 65) throw new Error(`Too fast to tell: ${seconds.toFixed()} s`);
    },
  };
}

/** Plays a long sound, seeks in it four times, and removes it. */
export function seeking(given: Given): Cases {
  onXetProgress(() => undefined);
  return {
    'a long sound plays and seeks': async () => {
      const sound = new Audio();
      sound.crossOrigin = 'anonymous';
      sound.muted = true;
      sound.preload = 'auto';
      const event = (name: string) =>
        new Promise<void>((resolve, reject) => {
          sound.addEventListener(name, () => resolve(), { once: true });
          sound.addEventListener('error', () => reject(new Error(sound.error?.message)), { once: true });
        });
      const plays = async () => {
        const from = sound.currentTime;
        while (sound.currentTime < from + 1) await pause(50);
      };
      const known = event('loadedmetadata');
      sound.src = `${given.hub}/owner/model/resolve/main/long.wav`;
      await known;
      await sound.play();
      await plays();
      for (const part of [0.5, 0.2, 0.8, 0.35]) {
        const sought = event('seeked');
        sound.currentTime = part * sound.duration;
        await sought;
        await plays();
      }
      sound.removeAttribute('src');
      sound.load();
      await silence();
    },
  };
}

/** Ways to end a request before its first byte. Each starts a request, and returns a function that ends it. */
const goodbyes: Record<string, (url: string) => Promise<() => unknown> | (() => unknown)> = {
  'cancelling a reader': async (url) => {
    const reader = (await fetch(url)).body?.getReader();
    void reader?.read();
    return () => reader?.cancel();
  },
  'an abort': (url) => {
    const stop = new AbortController();
    void fetch(url, { signal: stop.signal })
      .then((response) => response.arrayBuffer())
      .catch(() => undefined);
    return () => stop.abort();
  },
  'aborting an XMLHttpRequest': (url) => {
    const request = new XMLHttpRequest();
    request.open('GET', url);
    request.send();
    return () => request.abort();
  },
  'removing the source of a video': (url) => {
    const video = document.createElement('video');
    video.crossOrigin = 'anonymous';
    video.preload = 'auto';
    video.src = url;
    return () => {
      video.removeAttribute('src');
      video.load();
    };
  },
  'reloading a page': async (url) => {
    const frame = await frameThatAsks(url);
    return () => frame.contentWindow?.location.reload();
  },
  'closing a page': async (url) => {
    const frame = await frameThatAsks(url);
    return () => frame.remove();
  },
};

async function frameThatAsks(url: string): Promise<HTMLIFrameElement> {
  const frame = document.createElement('iframe');
  const loaded = new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
  frame.src = '/frame?cases=idle';
  document.body.append(frame);
  await loaded;
  void frame.contentWindow
    ?.fetch(url)
    .then((response) => response.arrayBuffer())
    .catch(() => undefined);
  return frame;
}

/** In a page whose service worker waits long for the CAS. */
export function leaving(given: Given): Cases {
  onXetProgress(() => undefined);
  // Firefox hands a page the answer of a service worker along with its first bytes.
  const { 'cancelling a reader': _, ...others } = goodbyes;
  const waysHere = given.letsFinish ? goodbyes : others;
  const count = async (kind: string) => (await traffic()).kinds.filter((one) => one === kind).length;
  return Object.fromEntries(
    Object.entries(waysHere).map(([name, begin], index) => [
      name,
      async () => {
        const start = (await traffic()).kinds.length;
        const before = await count('reconstruction');
        const end = await begin(`${given.hub}/owner/model/resolve/main/leave-${index}.bin`);
        for (let tries = 0; (await count('reconstruction')) === before; tries++) {
          if (tries > 200) throw new Error('Nothing was asked of the CAS');
          await pause(50);
        }
        await end();
        const asked = (await traffic()).kinds.length;
        // By now the answer would be there.
        await pause(2500);
        const { kinds } = await traffic();
        equal(kinds.slice(asked), [], 'requests afterwards');
        equal(
          kinds.slice(start).filter((kind) => kind === 'xorb' || kind === 'bridge'),
          [],
          'requests for content',
        );
      },
    ]),
  );
}
