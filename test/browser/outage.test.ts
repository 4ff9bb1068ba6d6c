import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from '../../src/local-hub/start.ts';
import { randomBytes } from '../support/samples.ts';
import { chromium } from './browsers.ts';
import type { Outage } from './outage/page.ts';
import { besideBundles, bundled, type Pages, startPages } from './pages.ts';
import { inChromium, SUITE_TIMEOUT_MS } from './suites.ts';

const required = process.env.XETKIT_BROWSERS === 'required';
/** Longer than all waits between attempts together. */
const OFFLINE_MS = 21_000;
const bytes = randomBytes(24_000_000, 1);
const sha256 = createHash('sha256').update(bytes).digest('hex');

let hub: LocalHub;
let pages: Pages;
beforeAll(async () => {
  hub = await startLocalHub();
  await hub.commitFiles('owner/model', { 'model.bin': bytes }, { xet: 'always', chunksPerXorb: 40 });
  pages = await startPages({
    title: 'xetkit outage tests',
    files: { 'page.js': await bundled('test/browser/outage/page.ts'), ...(await besideBundles()) },
    headers: { 'cache-control': 'no-store' },
  });
});
afterAll(async () => {
  await pages?.close();
  await hub?.close();
});

test.skipIf(!required && chromium.command === undefined).each(['stream', 'save', 'arrayBuffer'])(
  'a %s continues after an outage longer than all retries, and fetches nothing twice',
  { timeout: SUITE_TIMEOUT_MS },
  async (way) => {
    hub.resetRequests();
    hub.faults.bytesPerSecond = 1_500_000;
    await inChromium(async (context) => {
      const tab = await context.newPage();
      await tab.goto(pages.page({ hub: hub.url, way }).url);
      const outage = () => tab.evaluate(() => (globalThis as unknown as { outage?: Outage }).outage);
      await expect.poll(async () => (await outage())?.done ?? 0, { timeout: 60_000 }).toBeGreaterThan(1_000_000);
      await context.setOffline(true);
      await new Promise((resolve) => setTimeout(resolve, OFFLINE_MS));
      const before = await outage();
      expect(before?.result).toBeUndefined();
      if (way === 'save') expect(before?.waiting).toBe(true);
      await context.setOffline(false);
      hub.faults.bytesPerSecond = 0;
      await expect.poll(async () => (await outage())?.result, { timeout: 60_000 }).toBe(sha256);
      expect((await outage())?.warnings).toEqual([]);
    });
    const sent = (kind: string) =>
      hub.requests.filter((one) => one.kind === kind).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    expect(sent('bridge')).toBe(0);
    expect(sent('xorb')).toBeLessThan(bytes.length * 1.05);
  },
);
