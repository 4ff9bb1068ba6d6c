import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isXetError } from 'xetkit';
import type { FaultAction, LocalHub } from 'xetkit/local-hub';
import { scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { attempt, expectFile, privateHub, told } from './harness.ts';
import { watchHygiene } from './hygiene.ts';

watchHygiene();

// Ranges of one xorb under one address can be asked for together; the address insists on whole ranges, so
// what broke in the middle cannot simply be continued.
const REPO = 'owner/model';
const base = randomBytes(3_000_000, 81);
/** Every other part of a file that is there already: several ranges of one xorb, under one address. */
const partsOf = (length: number) =>
  Buffer.concat([0, 1, 2, 3, 4].map((index) => base.subarray(index * 600_000, index * 600_000 + length)));
/** Small ranges are asked for together, larger ones one by one. */
const files: Record<string, Uint8Array> = { 'small.bin': partsOf(150_000), 'large.bin': partsOf(400_000) };
const PATHS = Object.keys(files);

let hub: LocalHub;
beforeAll(async () => {
  hub = await privateHub(REPO, { 'base.bin': base, ...files }, { rangeRule: 'exact' });
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.faults.clear();
  hub.resetRequests();
});

/** Requests for more than one range, which are answered with parts. */
const multipart = () => hub.requests.filter(({ range }) => range?.includes(',') === true);

async function run(path: string) {
  const localDir = await scratch();
  const outcome = await attempt(hub, { fallback: 'never', concurrency: 1 }, (client) =>
    client.downloadFile({ repo: REPO, path, localDir }),
  );
  await expectFile(localDir, path, files[path]!, outcome);
  return outcome;
}

const faults: FaultAction[] = [
  { action: 'dropPart', part: 0 },
  { action: 'dropPart', part: 1 },
  { action: 'dropPart' },
  { action: 'reorderParts' },
  { action: 'corrupt', offset: 20 },
  { action: 'corrupt', offset: 5000 },
  { action: 'reset', afterBytes: 50 },
  { action: 'reset', afterBytes: 500_000 },
  { action: 'truncate', afterBytes: 700_000 },
  { action: 'shorten', toBytes: 300_000 },
  { action: 'fullInsteadOfPartial' },
  { action: 'wrongRange' },
  { action: 'garbageJson' },
  { action: 'oversizeJson', bytes: 10_000 },
];

test.each([
  ['small.bin', 'are asked for together', 1],
  ['large.bin', 'are asked for one by one, and one that broke as a whole', 0],
])('ranges of %s %s', async (path, _how, least) => {
  hub.faults.add({ kind: 'xorb', action: 'reset', afterBytes: 150_000 });
  const outcome = await run(path);
  expect(outcome.error, told(outcome)).toBeUndefined();
  if (least > 0) expect(multipart().length).toBeGreaterThanOrEqual(least);
  else expect(multipart()).toEqual([]);
});

describe.each(PATHS)('%s', (path) => {
  describe.each([0, 1, 2, 3])('after %i answers', (after) => {
    test.each(faults)('%o, once', async (fault) => {
      // The first answer breaks, so that there are later ones to go wrong as well.
      if (after > 0) hub.faults.add({ kind: 'xorb', action: 'reset', afterBytes: 150_000 });
      const handle = hub.faults.add({ kind: 'xorb', after: Math.max(0, after - 1), ...fault });
      const outcome = await run(path);
      expect(outcome.error, told(outcome)).toBeUndefined();
      expect(handle.hits).toBe(1);
    });
  });

  test.each(faults)('%o, in every answer', async (fault) => {
    hub.faults.add({ kind: 'xorb', times: 1e9, ...fault });
    const { error } = await run(path);
    if (error !== undefined) expect(isXetError(error, 'PROTOCOL', 'INTEGRITY', 'NETWORK'), String(error)).toBe(true);
    hub.faults.clear();
    const again = await run(path);
    expect(again.error, told(again)).toBeUndefined();
  });
});
