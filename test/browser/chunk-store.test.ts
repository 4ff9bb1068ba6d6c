import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromium, firefox, startBrowser } from './browsers.ts';
import { SUITES, type SuiteName } from './chunk-store-cases.ts';
import type { Outcome } from './outcomes.ts';
import { type Site, startSite } from './site.ts';
import { casesAsTests, inChromium, report, SUITE_TIMEOUT_MS, withProfile, withQuota } from './suites.ts';

const MB = 1024 * 1024;
const KILLS = 6;
/** Set by the configuration of the browser tests: a browser that is missing then fails them. */
const required = process.env.XETKIT_BROWSERS === 'required';

let site: Site;
beforeAll(async () => {
  site = await startSite();
});
afterAll(() => site.close());

const suiteTests = (suite: SuiteName, run: () => Promise<Outcome[]>) => casesAsTests(SUITES[suite], run);

describe.each([chromium, firefox])('$name', (browser) => {
  if (browser.command === undefined) {
    test.skipIf(!required)('is installed', () => expect(browser.command).toBeDefined());
    return;
  }

  describe('a page', () => {
    suiteTests('page', () => withProfile((profile) => report(browser, profile, site.page('page'))));
  });

  describe('a private window', () => {
    suiteTests('private', () =>
      withProfile((profile) => report(browser, profile, site.page('private'), browser.privateArgs)),
    );
  });

  describe('killed at any moment', () => {
    test(
      `leaves what is right, ${KILLS} times`,
      () =>
        withProfile(async (profile) => {
          for (let seed = 1; seed <= KILLS; seed++) {
            const hammering = site.page('hammer', { seed: String(seed) });
            const running = startBrowser(browser.command ?? '', browser.args(profile, hammering.url), profile);
            try {
              await hammering.reported;
              await new Promise((resolve) => setTimeout(resolve, 150 * seed));
            } finally {
              await running.kill();
            }
            const outcomes = await report(browser, profile, site.page('afterwards'));
            expect(outcomes.map(({ error }) => error ?? 'good')).toEqual(['good']);
          }
        }),
      SUITE_TIMEOUT_MS,
    );
  });
});

describe.skipIf(firefox.command === undefined)('Firefox with a small quota', () => {
  // A site gets a fifth of all there is, and 10 MB at least.
  suiteTests('quota', () =>
    withProfile((profile) => report(firefox, profile, site.page('quota')), { quotaBytes: 100 * MB }),
  );
});

describe.skipIf(chromium.command === undefined)('Chromium, told from outside', () => {
  describe('a small quota', () => {
    suiteTests('quota', () => inChromium((context) => withQuota(context, site, 'quota', 24 * MB)));
  });

  describe('a quota that shrinks', () => {
    suiteTests('squeezed', () =>
      inChromium(async (context) => {
        await withQuota(context, site, 'quota', 24 * MB);
        return withQuota(context, site, 'squeezed', 1 * MB);
      }),
    );
  });

  describe('a site that is cleared', () => {
    suiteTests('cleared', () =>
      inChromium(async (context) => {
        const tab = await context.newPage();
        const control = await context.newCDPSession(tab);
        const page = site.page('cleared');
        await tab.goto(page.url);
        await tab.waitForFunction(() => document.title === 'ready');
        await control.send('Storage.clearDataForOrigin', { origin: site.origin, storageTypes: 'indexeddb' });
        return page.reported;
      }),
    );
  });

  test(
    'three tabs at once',
    () =>
      inChromium(async (context) => {
        const said = [1, 2, 3].map(async (seed) => {
          const tab = await context.newPage();
          const values = new URLSearchParams({ task: 'load', name: 'tabs', seed: `${seed}` });
          await tab.goto(`${site.origin}/frame?${values}`);
          await tab.waitForFunction(() => document.title !== 'xetkit browser tests');
          return tab.title();
        });
        expect(await Promise.all(said)).toEqual(['good', 'good', 'good']);
      }),
    SUITE_TIMEOUT_MS,
  );
});
