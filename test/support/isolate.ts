import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';

// Recipes and other notes about files go to a folder that only this test file uses.
const folder = mkdtempSync(join(tmpdir(), 'xetkit-test-cache-'));
process.env.XETKIT_CACHE = folder;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Comparing bytes one by one takes a second per megabyte. Bytes that differ still go that way, for the sake of the message.
expect.addEqualityTesters([
  (a: unknown, b: unknown) =>
    a instanceof Uint8Array &&
    b instanceof Uint8Array &&
    Object.getPrototypeOf(a) === Object.getPrototypeOf(b) &&
    Buffer.compare(a, b) === 0
      ? true
      : undefined,
]);
