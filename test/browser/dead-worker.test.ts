import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLocalHub } from '../../src/local-hub/start.ts';
import { randomBytes } from '../support/samples.ts';
import { chromium, firefox } from './browsers.ts';
import { besideBundles, bundled, type Pages, startPages } from './pages.ts';
import { report, SUITE_TIMEOUT_MS, withProfile } from './suites.ts';

const required = process.env.XETKIT_BROWSERS === 'required';
const bytes = randomBytes(12_000_000, 1);

let pages: Pages;
beforeAll(async () => {
  pages = await startPages({
    title: 'xetkit dead worker tests',
    files: {
      'page.js': await bundled('test/browser/dead-worker/page.ts'),
      ...(await besideBundles()),
      'codec.worker.js': await bundled('test/browser/dead-worker/worker.ts'),
    },
  });
});
afterAll(() => pages?.close());

// A silent worker is given up after a minute, so the browsers wait at the same time.
test.concurrent.each([chromium, firefox].filter(({ command }) => required || command !== undefined))(
  'in $name a download whose codec worker closes itself completes, and fetches only that worker’s runs again',
  { timeout: SUITE_TIMEOUT_MS },
  async (browser) => {
    const hub = await startLocalHub();
    try {
      await hub.commitFiles('owner/model', { 'model.bin': bytes }, { xet: 'always', chunksPerXorb: 20 });
      hub.allowOrigin(pages.origin);
      hub.faults.bytesPerSecond = 4_000_000;
      hub.resetRequests();
      const page = pages.page({ hub: hub.url, size: String(bytes.length) });
      const [outcome] = await withProfile((profile) => report(browser, profile, page));
      expect(outcome?.error).toBeUndefined();
      expect(JSON.parse(outcome?.name ?? '')).toMatchObject({
        sha256: createHash('sha256').update(bytes).digest('hex'),
        workersLost: 1,
        warnings: [],
      });
      const sent = (kind: string) =>
        hub.requests.filter((one) => one.kind === kind).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
      expect(sent('bridge')).toBe(0);
      // A worker has at most two runs of half a MiB, and a run ends with a whole frame.
      expect(sent('xorb')).toBeLessThan(bytes.length + 3_000_000);
    } finally {
      await hub.close();
    }
  },
);
