import { beforeAll, expect, test } from 'vitest';
import { measure } from '../../scripts/size.mjs';

// Larger is allowed, but not by accident: `node scripts/size.mjs --modules` says what takes most.

/** Gzipped, in kB: what is reached, rounded up. That of the download path is also a promise. */
const LIMITS = {
  'download path': 38.9,
  'small fetch adapter': 44.4,
  'whole client': 66.7,
  'fetch adapter': 72.1,
  'service worker': 73.4,
  'codec worker': 18,
  WebAssembly: 80,
};

let sizes: Awaited<ReturnType<typeof measure>>;
beforeAll(async () => {
  sizes = await measure();
});

test.each(Object.entries(LIMITS))('%s: at most %s kB', (part, limit) => {
  const kilobytes = (sizes[part]?.gzip ?? Number.NaN) / 1000;
  expect(kilobytes).toBeLessThanOrEqual(limit);
  // Much less would be a part of it only, or a limit that has had its day.
  expect(kilobytes).toBeGreaterThan(limit * 0.8);
});

// A service worker may not import() at all, and Vite before version 8 builds no worker of a module that does.
test('nothing that browsers load is loaded later', () => {
  expect(Object.values(sizes).flatMap(({ lazy }) => lazy)).toEqual([]);
});
