import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { FaultRule, LocalHub } from 'xetkit/local-hub';
import { scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { jsonLines, startNode } from './children.ts';
import { privateHub } from './harness.ts';
import { watchHygiene } from './hygiene.ts';
import { smallDisk } from './mount.ts';

watchHygiene();

const SCRIPT = fileURLToPath(new URL('one-ending.mjs', import.meta.url));
const MIB = 1024 * 1024;
const REPO = 'owner/model';

let hub: LocalHub;
beforeAll(async () => {
  const large = Array.from({ length: 3 }, (_, index) => [`large${index}.bin`, randomBytes(25 * MIB, index + 71)]);
  hub = await privateHub(REPO, Object.fromEntries(large), { openWrites: true });
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.faults.clear();
  hub.resetRequests();
});

/** The process ends alone, or the test runs into its time limit: nothing here ends it. */
async function ending(settings: { how: string; localDir?: string; options?: object }): Promise<unknown> {
  const localDir = settings.localDir ?? (await scratch());
  const args = JSON.stringify({ repo: REPO, path: 'large0.bin', ...settings, localDir });
  const { code, stdout, stderr } = await (await startNode([SCRIPT, args], { HF_ENDPOINT: hub.url })).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const said = jsonLines(stdout);
  expect(said.filter((line) => 'unhandled' in line)).toEqual([]);
  return said.at(-1)?.code;
}

const always = { times: 1e9 } as const;
const SLOW = 20 * MIB;

test.each<{ what: string; how: string; code: unknown; rule?: FaultRule; options?: object; bytesPerSecond?: number }>([
  { what: 'an abort in the middle', how: 'abort', code: 'aborted', bytesPerSecond: SLOW },
  { what: 'closing the client in the middle', how: 'close', code: 'CLOSED', bytesPerSecond: SLOW },
  {
    what: 'corrupt data',
    how: 'download',
    code: 'INTEGRITY',
    rule: { kind: 'xorb', action: 'corrupt', offset: 100_000, ...always },
  },
  {
    what: 'a file that is not there',
    how: 'download',
    code: 'ENTRY_NOT_FOUND',
    rule: { kind: 'resolve', action: 'status', status: 404, headers: { 'x-error-code': 'EntryNotFound' }, ...always },
  },
  {
    what: 'falling back to plain HTTP',
    how: 'download',
    code: 'none',
    rule: { kind: 'xorb', action: 'reset', afterBytes: 300_000, ...always },
  },
  {
    what: 'a connection that breaks again and again',
    how: 'download',
    code: 'NETWORK',
    rule: { kind: 'xorb', action: 'reset', afterBytes: 20, ...always },
    options: { fallback: 'never' },
  },
  {
    what: 'one file of a snapshot that fails while others are fetched',
    how: 'snapshot',
    code: 'SERVER',
    rule: { kind: 'reconstruction', action: 'status', status: 500, after: 1, ...always },
    options: { fallback: 'never' },
    bytesPerSecond: SLOW,
  },
  { what: 'workers that die', how: 'dead workers', code: 'none', bytesPerSecond: 4 * SLOW },
  {
    what: 'an upload whose data is refused',
    how: 'upload',
    code: 'SERVER',
    rule: { kind: 'xorb-upload', action: 'status', status: 500, ...always },
  },
  {
    what: 'an upload that cannot be committed',
    how: 'upload',
    code: 'FORBIDDEN',
    rule: { kind: 'commit', action: 'status', status: 403, ...always },
  },
  { what: 'a cancelled stream', how: 'cancelled stream', code: 'none', bytesPerSecond: SLOW },
  { what: 'a stream that nobody reads to its end', how: 'stream left alone', code: 'none', bytesPerSecond: SLOW },
  { what: 'an aborted read into memory', how: 'aborted read', code: 'aborted', bytesPerSecond: SLOW },
])('a process ends after $what', async ({ how, code, rule, options, bytesPerSecond = 0 }) => {
  if (rule) hub.faults.add(rule);
  hub.faults.bytesPerSecond = bytesPerSecond;
  expect(await ending({ how, ...(options && { options }) })).toBe(code);
});

test.each(['download', 'snapshot'])('a process ends after a %s that filled the disk', async (how) => {
  // Where what is left behind depends on what comes at the same moment.
  for (let round = 0; round < 3; round++) {
    const disk = await smallDisk((how === 'download' ? 16 : 50) * MIB);
    expect(await ending({ how, localDir: disk.path })).toBe('DISK_FULL');
  }
});
