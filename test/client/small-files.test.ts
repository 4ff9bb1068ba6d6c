import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LocalHub, LocalHubOptions } from 'xetkit/local-hub';
import { clientOf, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';

// Reconstructions of small files are asked for together.

const repo = 'owner/data';
const COUNT = 70;
const small = Object.fromEntries(
  Array.from({ length: COUNT }, (_, index) => [
    `part-${index % 7}/${index}.bin`,
    index % 3 === 0 ? text(9_000 + index, index + 1) : randomBytes(20_000 + 900 * index, index + 1),
  ]),
);

async function filled(options: LocalHubOptions = {}, files: Record<string, Uint8Array> = small): Promise<LocalHub> {
  const hub = await hubFor(options);
  await hub.commitFiles(repo, files, { xet: 'always' });
  hub.resetRequests();
  return hub;
}

/** Brings them all, and looks at every byte. */
async function snapshot(hub: LocalHub, files: Record<string, Uint8Array> = small) {
  const client = clientOf(hub, { fallback: 'never' });
  const result = await client.snapshot({ repo, localDir: await scratch() });
  for (const [path, bytes] of Object.entries(files)) {
    expect(sha256(await readFile(join(result.folder, path))), path).toBe(sha256(bytes));
  }
  expect(result.files.filter(({ verified }) => verified !== 'xet').map(({ path: file }) => file)).toEqual([]);
  return { result, asked: seen(hub, 'reconstruction').length };
}

describe('small files, whatever the CAS offers', () => {
  const hubs: [string, LocalHubOptions, number][] = [
    ['all of it', {}, 2],
    ['only the older form', { reconstructionVersions: [1] }, 2],
    // It is asked in both forms, in vain; then each file asks for itself.
    ['only the newer form, which has no question for several', { reconstructionVersions: [2] }, 2 + COUNT],
    ['addresses that take their own range only', { rangeRule: 'exact', mergeRanges: false }, 2],
  ];
  test.each(hubs)('%s', async (_, options, questions) => {
    const { asked, result } = await snapshot(await filled(options));
    expect(asked).toBe(questions);
    // And the commit and the list of its files; the token is not counted.
    expect(result.requests).toBe(questions + COUNT + 2);
  });
});

describe('small files, when the question for several fails', () => {
  test.each([429, 500, 503])('with %i: each asks for itself', async (status) => {
    const hub = await filled();
    hub.faults.add({ kind: 'reconstruction', action: 'status', status, times: 1 });
    const { asked } = await snapshot(hub);
    // The first 64 by themselves; the rest may be asked for together again.
    expect(asked).toBeGreaterThan(64);
    expect(asked).toBeLessThanOrEqual(1 + COUNT + 1);
  });

  test('by a connection that is cut: each asks for itself', async () => {
    const hub = await filled();
    hub.faults.add({ kind: 'reconstruction', action: 'reset', afterBytes: 3000 });
    await snapshot(hub);
  });
});

test('addresses that have expired before their turn are renewed, for one file at a time', async () => {
  let shiftMs = 0;
  const hub = await filled({ urlLifetimeSeconds: 600, tokenLifetimeSeconds: 86_400, now: () => Date.now() + shiftMs });
  let xorbs = 0;
  hub.faults.add({
    kind: 'xorb',
    action: 'delay',
    ms: 0,
    match: () => {
      if (++xorbs === 10) shiftMs = 3_600_000;
      return false;
    },
  });
  const { asked } = await snapshot(hub);
  expect(asked).toBeGreaterThan(2);
  expect(asked).toBeLessThanOrEqual(2 + COUNT);
});

test('a small file that is part of a large one brings no more than it needs', async () => {
  const large = randomBytes(3_000_000, 500);
  const parts = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [
      `cut/${index}.bin`,
      large.subarray(index * 140_000, index * 140_000 + 130_000),
    ]),
  );
  const hub = await hubFor();
  await hub.commitFiles(repo, { 'large.bin': large }, { xet: 'always' });
  await hub.commitFiles(repo, parts, { xet: 'always' });
  hub.resetRequests();
  const client = clientOf(hub, { fallback: 'never' });
  const {
    files,
    folder: path,
    bytes,
  } = await client.snapshot({ repo, localDir: await scratch(), allowPatterns: 'cut/*' });
  expect(files).toHaveLength(20);
  for (const [name, content] of Object.entries(parts)) {
    expect(sha256(await readFile(join(path, name))), name).toBe(sha256(content));
  }
  // Where a part begins and ends in the middle of chunks of the large one, it has chunks of its own.
  expect(bytes.network).toBeLessThan(20 * 130_000 * 1.05);
});
