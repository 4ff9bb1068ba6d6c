import { type BrowserContext, chromium as playwright } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import type { ContractHooks } from '../support/chunk-store-contract.ts';
import {
  type BrowserKind,
  CHROMIUM_FLAGS,
  chromium,
  makeProfile,
  type Profile,
  removeProfile,
  startBrowser,
} from './browsers.ts';
import type { Outcome } from './outcomes.ts';
import type { Site } from './site.ts';

export const SUITE_TIMEOUT_MS = 180_000;

/** Cases that run in a page. Their names are known without one. */
export type Suite = (hooks: ContractHooks) => void;

function namesOf(suite: Suite): string[] {
  const names: string[] = [];
  suite({ test: (name) => void names.push(name), equal: () => undefined });
  return names;
}

/** Runs a suite once in a page, and reports each case as a test. */
export function casesAsTests(suite: Suite, run: () => Promise<Outcome[]>): void {
  let outcomes: Outcome[] = [];
  beforeAll(async () => {
    outcomes = await run();
  }, SUITE_TIMEOUT_MS);
  test.each(namesOf(suite))('%s', (name) => {
    const outcome = outcomes.find((one) => one.name === name);
    expect(outcome, 'the page did not report on it').toBeDefined();
    expect(outcome?.error ?? 'good').toBe('good');
  });
}

/** Opens a page in a browser until it has reported. */
export async function report(
  browser: BrowserKind,
  profile: Profile,
  page: { url: string; reported: Promise<Outcome[]> },
  args = browser.args,
): Promise<Outcome[]> {
  const running = startBrowser(browser.command ?? '', args(profile, page.url), profile);
  try {
    const timeout = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`${browser.name} did not report`)), SUITE_TIMEOUT_MS - 5000).unref();
    });
    return await Promise.race([page.reported, timeout]);
  } finally {
    await running.kill();
  }
}

export async function withProfile<T>(use: (profile: Profile) => Promise<T>, options = {}): Promise<T> {
  const profile = await makeProfile(options);
  try {
    return await use(profile);
  } finally {
    await removeProfile(profile);
  }
}

/** Runs work in a Chromium that is controlled from outside. */
export const inChromium = <T>(use: (context: BrowserContext) => Promise<T>): Promise<T> =>
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

/** Outcomes of a page whose site has a quota of this many bytes. */
export async function withQuota(
  context: BrowserContext,
  site: Site,
  suite: string,
  quotaSize: number,
): Promise<Outcome[]> {
  const tab = await context.newPage();
  const control = await context.newCDPSession(tab);
  await control.send('Storage.overrideQuotaForOrigin', { origin: site.origin, quotaSize });
  const page = site.page(suite);
  await tab.goto(page.url);
  const outcomes = await page.reported;
  await tab.close();
  return outcomes;
}
