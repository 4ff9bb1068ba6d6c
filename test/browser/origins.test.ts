import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from '../../src/local-hub/start.ts';
import { type BrowserKind, chromium, firefox, makeProfile, removeProfile, startBrowser } from './browsers.ts';
import { besideBundles, bundled, type Pages, startPages } from './pages.ts';

const PAGE_TIMEOUT_MS = 120_000;
/** Set by the configuration of the browser tests: a browser that is missing then fails them. */
const required = process.env.XETKIT_BROWSERS === 'required';

let site: Pages;
beforeAll(async () => {
  site = await startPages({
    title: 'xetkit origins',
    files: { 'page.js': await bundled('test/browser/origins/page.ts'), ...(await besideBundles()) },
  });
  return () => site.close();
});

/** A Hub as it is by default, with something to read, something private and something to delete. */
async function startHub(): Promise<LocalHub> {
  const hub = await startLocalHub();
  await hub.commitFiles('me/model', { 'a.txt': 'public' });
  await hub.commitFiles('me/secret', { 'a.txt': 'the secret' });
  await hub.commitFiles('me/doomed', { 'a.txt': 'a' });
  await hub.setRepo('me/secret', { private: true });
  hub.resetRequests();
  return hub;
}

/** All that a Hub keeps, by path. */
async function kept(hub: LocalHub): Promise<Record<string, string>> {
  const entries = await readdir(hub.dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(await Promise.all(files.map(async (path) => [path, await readFile(path, 'base64')])));
}

/** Lets a page try, and tells what it got and where it failed. */
async function attempts(browser: BrowserKind, hub: LocalHub, who: string, host: string) {
  const profile = await makeProfile();
  const { url, reported } = site.page({ hub: hub.url, who });
  const shown = url.replace('127.0.0.1', host);
  const running = startBrowser(browser.command ?? '', browser.args(profile, shown), profile);
  try {
    const timeout = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`${browser.name} did not report`)), PAGE_TIMEOUT_MS).unref();
    });
    const outcomes = await Promise.race([reported, timeout]);
    const done = outcomes.filter(({ error }) => error === undefined).map(({ name }) => name);
    return { done, failed: outcomes.filter(({ error }) => error !== undefined).map(({ name }) => name) };
  } finally {
    await running.kill();
    await removeProfile(profile);
  }
}

const SEEN = [
  'list, with a token',
  'read what is private',
  'read what is private, by any word',
  'commit as JSON',
  'commit as text',
  'make a repository',
  'a token for writing',
  'upload',
  'upload a xorb',
  'delete a repository',
];

describe.each([chromium, firefox])('$name', (browser) => {
  if (browser.command === undefined) {
    test.skipIf(!required)('is installed', () => expect(browser.command).toBeDefined());
    return;
  }

  test.each(['evil.localhost', 'localhost'])(
    'a page of http://%s:PORT can neither write nor read private data',
    async (host) => {
      const hub = await startHub();
      try {
        const before = await kept(hub);
        const { done, failed } = await attempts(browser, hub, 'evil', host);
        expect(failed).toEqual(SEEN);
        // A page cannot see the responses to these, so they cannot fail there. The list shows public repositories.
        expect(done.map((text) => text.split(':')[0])).toEqual([
          'list, without a token',
          'commit unseen',
          'commit by a beacon',
          'commit by a form',
        ]);
        expect(done[0]).toContain('me/model');
        expect(done.join()).not.toContain('secret');
        await expect
          .poll(() => hub.requests.filter(({ method }) => method === 'POST').length)
          .toBeGreaterThanOrEqual(6);
        const changes = hub.requests.filter(({ method }) => !['GET', 'HEAD', 'OPTIONS'].includes(method));
        expect(changes.filter(({ status }) => status !== 403)).toEqual([]);
        expect(hub.requests.filter(({ authorized }) => authorized)).toEqual([]);
        expect(await kept(hub)).toEqual(before);
      } finally {
        await hub.close();
      }
    },
  );

  test('a page of an allowed origin can read and write', async () => {
    const hub = await startHub();
    try {
      hub.allowOrigin(site.origin);
      const { done, failed } = await attempts(browser, hub, 'friend', '127.0.0.1');
      expect(failed).toEqual(['read what is private, by any word', 'upload a xorb']);
      expect(done.join('\n')).toMatch(/me\/secret.*the secret/s);
    } finally {
      await hub.close();
    }
  });
});
