import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromium, firefox } from './browsers.ts';
import { RECIPE_SUITES } from './recipe-store-cases.ts';
import { type Site, startSite } from './site.ts';
import { casesAsTests, inChromium, report, withProfile, withQuota } from './suites.ts';

const MB = 1024 * 1024;
/** Set by the configuration of the browser tests: a browser that is missing then fails them. */
const required = process.env.XETKIT_BROWSERS === 'required';

let site: Site;
beforeAll(async () => {
  site = await startSite();
});
afterAll(() => site.close());

describe.each([chromium, firefox])('$name', (browser) => {
  if (browser.command === undefined) {
    test.skipIf(!required)('is installed', () => expect(browser.command).toBeDefined());
    return;
  }

  describe('a page', () => {
    casesAsTests(RECIPE_SUITES.recipes, () => withProfile((profile) => report(browser, profile, site.page('recipes'))));
  });

  describe('a private window', () => {
    casesAsTests(RECIPE_SUITES['recipes, private'], () =>
      withProfile((profile) => report(browser, profile, site.page('recipes, private'), browser.privateArgs)),
    );
  });
});

describe.skipIf(firefox.command === undefined)('Firefox with a small quota', () => {
  // A site gets a fifth of all there is, and 10 MB at least.
  casesAsTests(RECIPE_SUITES['recipes, quota'], () =>
    withProfile((profile) => report(firefox, profile, site.page('recipes, quota')), { quotaBytes: 100 * MB }),
  );
});

describe.skipIf(chromium.command === undefined)('Chromium with a small quota', () => {
  casesAsTests(RECIPE_SUITES['recipes, quota'], () =>
    inChromium((context) => withQuota(context, site, 'recipes, quota', 24 * MB)),
  );
});
