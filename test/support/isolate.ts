import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

// What tests remember of files is none of the user's business, nor of other tests'.
const folder = mkdtempSync(join(tmpdir(), 'xetkit-test-cache-'));
process.env.XETKIT_CACHE = folder;
afterAll(() => rmSync(folder, { recursive: true, force: true }));
