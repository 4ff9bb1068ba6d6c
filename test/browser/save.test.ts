import { createHash } from 'node:crypto';
import { type BrowserContext, chromium as playwright } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from '../../src/local-hub/start.ts';
import { randomBytes, text, weights } from '../support/samples.ts';
import {
  type BrowserKind,
  CHROMIUM_FLAGS,
  chromium,
  firefox,
  makeProfile,
  type Profile,
  removeProfile,
  startBrowser,
} from './browsers.ts';
import type { Outcome } from './outcomes.ts';
import { type Cases, elsewhere, type Given, inStorage, withinMemory, withLittleRoom } from './save/cases.ts';
import { repositories } from './save/repository-cases.ts';
import { type SaveSite, startSaveSite } from './save/site.ts';

const MB = 1_000_000;
const PAGE_TIMEOUT_MS = 170_000;
const KILLS = 2;
/** Set by the configuration of the browser tests: a browser that is missing then fails them. */
const required = process.env.XETKIT_BROWSERS === 'required';

const files: Record<string, Uint8Array> = {
  'large.bin': randomBytes(14 * MB, 1),
  'other.bin': randomBytes(6 * MB, 2),
  'model.safetensors': weights(4, 3),
  'config.json': text(2000, 4),
  'empty.bin': new Uint8Array(),
};
const factsOf = (some: Record<string, Uint8Array>) =>
  Object.fromEntries(
    Object.entries(some).map(([name, bytes]) => [
      name,
      { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
    ]),
  );
/** For what is stopped from outside: what that costs does not grow with the file. */
const huge = { 'huge.bin': randomBytes(40 * MB, 5) };
const facts = factsOf(huge);

let hub: LocalHub;
let site: SaveSite;
let given: Given;
beforeAll(async () => {
  // Signed addresses change with the time, and a browser keeps what it got from one: here no two are the same.
  let asked = 0;
  const now = () => Date.now() + 1000 * asked++;
  hub = await startLocalHub({ now, urlLifetimeSeconds: 1e7, tokenLifetimeSeconds: 1e7 });
  const { 'config.json': config, ...others } = files;
  await hub.commitFiles('owner/model', { ...others, ...huge }, { xet: 'always', chunksPerXorb: 40 });
  await hub.commitFiles('owner/model', { 'config.json': config ?? '' });
  site = await startSaveSite(hub);
  given = { hub: hub.url, files: factsOf(files) };
  return async () => {
    await site.close();
    await hub.close();
  };
});

const pageFor = (cases: string, values: Record<string, string> = {}) =>
  site.page(cases, { given: JSON.stringify(given), ...values });

/** A request that stands still for a moment may be made a second time: what is sent may be a little more than is used. */
const sentBytes = () =>
  hub.requests.filter(({ kind }) => kind === 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);

function startQuietly(): void {
  hub.faults.clear();
  hub.resetRequests();
}

async function withProfile<T>(use: (profile: Profile) => Promise<T>, options = {}): Promise<T> {
  const profile = await makeProfile(options);
  try {
    return await use(profile);
  } finally {
    await removeProfile(profile);
  }
}

async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took too long`)), PAGE_TIMEOUT_MS);
  });
  return Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}

async function shown(
  browser: BrowserKind,
  profile: Profile,
  page: { url: string; reported: Promise<Outcome[]> },
): Promise<Outcome[]> {
  const running = startBrowser(browser.command ?? '', browser.args(profile, page.url), profile);
  try {
    return await inTime(page.reported, browser.name);
  } finally {
    await running.kill();
  }
}

/** Runs cases in a page, once, and shows each of them as a test of its own. */
function caseTests(cases: Cases, run: () => Promise<Outcome[]>): void {
  let outcomes: Outcome[] = [];
  beforeAll(async () => {
    startQuietly();
    outcomes = await run();
  }, PAGE_TIMEOUT_MS + 10_000);
  test.each(Object.keys(cases))('%s', (name) => {
    const outcome = outcomes.find((one) => one.name === name);
    expect(outcome, `the page did not report on it: ${outcomes[0]?.error}`).toBeDefined();
    expect(outcome?.error ?? 'good').toBe('good');
  });
}

const nothing: Given = { hub: '', files: {} };

/** Outcomes of a page that runs the cases `save`. */
function saved(outcomes: Outcome[]): { network: number; local: number; verified: string; sha256: string } {
  const [outcome] = outcomes;
  expect(outcome?.error ?? 'good').toBe('good');
  return JSON.parse(outcome?.name ?? '{}');
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 1000) throw new Error('In vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe.each([chromium, firefox])('$name', (browser) => {
  if (browser.command === undefined) {
    test.skipIf(!required)('is installed', () => expect(browser.command).toBeDefined());
    return;
  }

  describe('in a page', () => {
    caseTests(inStorage(nothing, true), () => withProfile((profile) => shown(browser, profile, pageFor('in place'))));
  });

  describe('in a dedicated worker', () => {
    caseTests(inStorage(nothing, true), () =>
      withProfile((profile) => shown(browser, profile, pageFor('in place', { inWorker: '' }))),
    );
  });

  describe('where no worker can be started', () => {
    caseTests(inStorage(nothing, false), () =>
      withProfile((profile) => shown(browser, profile, pageFor('parts', { noWorkers: '' }))),
    );
  });

  describe('repositories, in a page', () => {
    caseTests(repositories(nothing), () => withProfile((profile) => shown(browser, profile, pageFor('repositories'))));
  });

  describe('elsewhere', () => {
    caseTests({ ...elsewhere(nothing), ...withinMemory(nothing) }, () =>
      withProfile((profile) => shown(browser, profile, pageFor('elsewhere'))),
    );
  });

  test.each([
    ['a page', {}],
    ['a page without workers', { noWorkers: '' }],
  ])('%s that is killed goes on where it stood', async (_what, values) => {
    startQuietly();
    hub.faults.bytesPerSecond = 3 * MB;
    const { size, sha256 } = facts['huge.bin'] ?? { size: 0, sha256: '' };
    await withProfile(async (profile) => {
      for (let kill = 1; kill <= KILLS; kill++) {
        const { url } = pageFor('save', { file: 'huge.bin', ...values });
        const running = startBrowser(browser.command ?? '', browser.args(profile, url), profile);
        const goal = (size * kill * 0.85) / KILLS;
        await until(() => sentBytes() > goal);
        await running.kill();
      }
      hub.faults.bytesPerSecond = 0;
      const page = pageFor('save', { file: 'huge.bin', ...values });
      const result = saved(await shown(browser, profile, page));
      expect(result).toMatchObject({ verified: 'xet', sha256 });
      // Data in flight is lost; without workers also the parts that were open.
      const lost = 'noWorkers' in values ? KILLS * 4 * 2 * 1024 * 1024 : 0;
      expect(sentBytes()).toBeLessThan(size * 1.25 + lost);
      expect(result.local).toBeGreaterThan(size * 0.6 - lost);
    });
  });
});

describe.skipIf(firefox.command === undefined)('Firefox with a small quota', () => {
  // A site gets a fifth of all there is.
  caseTests(withLittleRoom(nothing), () =>
    withProfile((profile) => shown(firefox, profile, pageFor('quota')), { quotaBytes: 60 * 1024 * 1024 }),
  );
});

describe.skipIf(chromium.command === undefined)('Chromium, told from outside', () => {
  const inChromium = <T>(use: (context: BrowserContext) => Promise<T>) =>
    withProfile(async ({ folder }) => {
      const context = await playwright.launchPersistentContext(folder, {
        executablePath: chromium.command,
        args: CHROMIUM_FLAGS,
      });
      try {
        return await use(context);
      } finally {
        await context.close();
      }
    });

  describe('with a small quota', () => {
    caseTests(withLittleRoom(nothing), () =>
      inChromium(async (context) => {
        const tab = await context.newPage();
        const control = await context.newCDPSession(tab);
        await control.send('Storage.overrideQuotaForOrigin', { origin: site.origin, quotaSize: 12 * MB });
        const page = pageFor('quota');
        await tab.goto(page.url);
        return inTime(page.reported, 'Chromium');
      }),
    );
  });

  test('a save resumes after a reload, and fetches nothing twice', () =>
    inChromium(async (context) => {
      startQuietly();
      hub.faults.bytesPerSecond = 6 * MB;
      const { size, sha256 } = facts['huge.bin'] ?? { size: 0, sha256: '' };
      const page = pageFor('save', { file: 'huge.bin' });
      const tab = await context.newPage();
      await tab.goto(page.url);
      for (const share of [0.3, 0.7]) {
        const goal = share * size;
        await tab.waitForFunction((least) => Number(document.title.slice(3)) > least, goal);
        await tab.reload();
      }
      const result = saved(await inTime(page.reported, 'Chromium'));
      expect(result).toMatchObject({ verified: 'xet', sha256 });
      expect(result.local).toBeGreaterThan(size * 0.5);
      expect(sentBytes()).toBeLessThan(size * 1.25);
    }));

  test('two tabs that save a file fetch it once', () =>
    inChromium(async (context) => {
      startQuietly();
      hub.faults.bytesPerSecond = 6 * MB;
      const pages = [1, 2].map(() => pageFor('save', { file: 'huge.bin' }));
      for (const { url } of pages) await (await context.newPage()).goto(url);
      const results = (await Promise.all(pages.map(({ reported }) => inTime(reported, 'Chromium')))).map(saved);
      const { size, sha256 } = facts['huge.bin'] ?? { size: 0, sha256: '' };
      expect(results.map((result) => result.sha256)).toEqual([sha256, sha256]);
      expect(results.map(({ network }) => network > 0).sort()).toEqual([false, true]);
      expect(sentBytes()).toBeLessThan(size * 1.25);
    }));

  test('a save continues in another tab when its tab is closed', () =>
    inChromium(async (context) => {
      startQuietly();
      hub.faults.bytesPerSecond = 6 * MB;
      const { size, sha256 } = facts['huge.bin'] ?? { size: 0, sha256: '' };
      const [first, second] = [1, 2].map(() => pageFor('save', { file: 'huge.bin' }));
      const tab = await context.newPage();
      await tab.goto(first?.url ?? '');
      await tab.waitForFunction((least) => Number(document.title.slice(3)) > least, size / 2);
      await (await context.newPage()).goto(second?.url ?? '');
      await tab.close();
      const result = saved(await inTime(second?.reported ?? Promise.resolve([]), 'Chromium'));
      expect(result).toMatchObject({ verified: 'xet', sha256 });
      expect(result.local).toBeGreaterThan(size * 0.3);
      expect(sentBytes()).toBeLessThan(size * 1.25);
    }));
});
