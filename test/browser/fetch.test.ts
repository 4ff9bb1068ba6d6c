import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { XetClient } from '../../src/client/xet-client.ts';
import { type LocalHub, startLocalHub } from '../../src/local-hub/start.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import { type BrowserKind, chromium, firefox, makeProfile, removeProfile, startBrowser } from './browsers.ts';
import type { Given } from './fetch/cases.ts';
import { type FetchSite, startFetchSite } from './fetch/site.ts';
import type { Outcome } from './outcomes.ts';

const PAGE_TIMEOUT_MS = 120_000;
/** Set by the configuration of the browser tests: a browser that is missing then fails them. */
const required = process.env.XETKIT_BROWSERS === 'required';
const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

const files = {
  'model.safetensors': weights(12, 1),
  'config.json': text(2000, 2),
  'odd name #1 ü.bin': randomBytes(300_000, 3),
  empty: new Uint8Array(),
};
/** Noise: two channels of 16 bits. */
function wave(seconds: number, rate: number, seed: number): Uint8Array {
  const content = randomBytes(seconds * rate * 4, seed);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + content.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(2, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 4, 28);
  head.writeUInt16LE(4, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(content.length, 40);
  return Buffer.concat([head, content]);
}

const others = {
  'sound.wav': wave(45, 44_100, 8),
  'long.wav': wave(380, 96_000, 9),
  'dot.png': Buffer.from(DOT, 'base64'),
  'large.bin': randomBytes(24_000_000, 4),
  'larger.bin': randomBytes(36_000_000, 5),
  ...Object.fromEntries([0, 1, 2, 3, 4, 5].map((index) => [`leave-${index}.bin`, randomBytes(4_000_000, 20 + index)])),
  'slow.bin': randomBytes(3_700_000, 7),
};

let hub: LocalHub;
let site: FetchSite;
beforeAll(async () => {
  hub = await startLocalHub();
  await hub.commitFiles('owner/model', { ...files, ...others });
  await hub.commitFiles('owner/model', { 'corrupt.bin': randomBytes(3_000_000, 6) });
  // The stored data of this file is damaged from here on.
  const client = new XetClient({ endpoint: hub.url, accessToken: '', workers: 0, chunkCache: false });
  await (await client.open({ repo: 'owner/model', path: 'corrupt.bin' })).arrayBuffer();
  await client.close();
  const damaged = hub.requests.findLast(({ kind }) => kind === 'xorb')?.path;
  hub.faults.add({ kind: 'xorb', match: (path) => path === damaged, action: 'corrupt', offset: 5000, times: 1e9 });
  site = await startFetchSite(hub);
  return async () => {
    await site.close();
    await hub.close();
  };
});
afterAll(() => hub.faults.clear());

function given(run: string, browser: BrowserKind): Given {
  const facts = Object.entries(files).map(([path, bytes]) => [
    path,
    { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
  ]);
  const letsFinish = browser === chromium;
  return { hub: hub.url, run, files: Object.fromEntries(facts), corrupt: 'corrupt.bin', letsFinish };
}

/** Shows a page until it has said how its cases went. */
async function outcomesOf(browser: BrowserKind, cases: string): Promise<Outcome[]> {
  hub.resetRequests();
  hub.faults.bytesPerSecond = 0;
  const profile = await makeProfile();
  const { url, reported } = site.page(cases, { given: JSON.stringify(given(`${browser.name}-${cases}`, browser)) });
  const running = startBrowser(browser.command ?? '', browser.args(profile, url), profile);
  try {
    const timeout = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`${browser.name} did not report`)), PAGE_TIMEOUT_MS).unref();
    });
    return await Promise.race([reported, timeout]);
  } finally {
    await running.kill();
    await removeProfile(profile);
  }
}

describe.each([chromium, firefox])('$name', (browser) => {
  if (browser.command === undefined) {
    test.skipIf(!required)('is installed', () => expect(browser.command).toBeDefined());
    return;
  }

  test.each([
    ['page', 15],
    ['module worker', 19],
    ['classic worker', 19],
    ['deaf page', 4],
  ])('createXetFetch passes all cases in a %s', { timeout: PAGE_TIMEOUT_MS + 20_000 }, async (cases, atLeast) => {
    const outcomes = await outcomesOf(browser, cases);
    expect(outcomes.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(outcomes.length).toBeGreaterThanOrEqual(atLeast);
    // Elsewhere all of it came through Xet.
    if (cases !== 'deaf page') expect(hub.requests.some(({ kind }) => kind === 'bridge')).toBe(false);
  });
});

test.each([chromium, firefox].filter(({ command }) => required || command !== undefined))(
  'in $name a request that ends before its first byte starts no further requests',
  { timeout: PAGE_TIMEOUT_MS + 20_000 },
  async (browser) => {
    const slow = hub.faults.add({ kind: 'reconstruction', action: 'delay', ms: 1500, times: 1e9 });
    try {
      const outcomes = await outcomesOf(browser, 'leaving');
      expect(outcomes.filter(({ error }) => error !== undefined)).toEqual([]);
      expect(outcomes.length).toBe(browser === chromium ? 6 : 5);
    } finally {
      slow.remove();
    }
  },
);

test.each([chromium, firefox].filter(({ command }) => required || command !== undefined))(
  'seeking in $name costs at most 1.2 times the bytes of a plain server',
  { timeout: 2 * PAGE_TIMEOUT_MS + 20_000 },
  async (browser) => {
    const sent = async (cases: string) => {
      expect(await outcomesOf(browser, cases)).toEqual([{ name: 'a long sound plays and seeks' }]);
      const bytesOf = (...kinds: string[]) =>
        hub.requests.filter(({ kind }) => kinds.includes(kind)).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
      return { bridge: bytesOf('bridge'), xet: bytesOf('xorb', 'reconstruction'), requests: hub.requests.length };
    };
    const plain = await sent('seeking past Xet');
    const xet = await sent('seeking');
    expect(plain.xet).toBe(0);
    expect(xet.bridge).toBe(0);
    expect(xet.xet).toBeLessThanOrEqual(1.2 * plain.bridge);
    // About one for each mebibyte, and a few for each place.
    expect(xet.requests).toBeLessThan(30 + xet.xet / 500_000);
  },
);

// A minute is what Firefox gives a worker that no page speaks to.
test('a body that takes longer than a minute completes in all browsers', {
  timeout: PAGE_TIMEOUT_MS + 20_000,
}, async () => {
  const browsers = [chromium, firefox].filter(({ command }) => command !== undefined);
  const outcomes = await Promise.all(browsers.map((browser) => outcomesOf(browser, 'slow network')));
  expect(outcomes.flat()).toEqual(browsers.map(() => ({ name: 'a body that takes longer than a minute completes' })));
});
