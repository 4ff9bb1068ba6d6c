import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DownloadResult, XetClientOptions } from 'xetkit';
import type { LocalHub, LocalHubOptions } from 'xetkit/local-hub';
import { filesUnder, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { attempt, type Outcome, privateHub, told } from './harness.ts';
import { expectNoSecretsIn, watchHygiene } from './hygiene.ts';

watchHygiene();

const REPO = 'owner/model';
const PATH = 'weights.bin';
const content = randomBytes(6_000_000, 71);
/** So much of it comes before everything stands still. */
const ENOUGH = 2_500_000;

let hub: LocalHub;
afterEach(() => hub.close());

async function start(options: LocalHubOptions = {}): Promise<void> {
  hub = await privateHub(REPO, { [PATH]: content }, options);
}

const sent = () => [...seen(hub, 'xorb'), ...seen(hub, 'bridge')].reduce((sum, { bytesSent }) => sum + bytesSent, 0);
const incomplete = async (folder: string) => (await filesUnder(folder)).filter((name) => name.endsWith('.incomplete'));
/** The largest of them holds the bytes; what is beside it says what they are. */
async function partialFile(folder: string): Promise<string> {
  const paths = (await incomplete(folder)).map((name) => join(folder, name));
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  return paths[sizes.indexOf(Math.max(...sizes))]!;
}

const download = (
  folder: string,
  where: 'cacheDir' | 'localDir',
  options: XetClientOptions = {},
  signal?: AbortSignal,
) =>
  attempt(hub, { ...options, ...(where === 'cacheDir' && { cacheDir: folder }) }, (client) =>
    client.downloadFile({ repo: REPO, path: PATH, signal, ...(where === 'localDir' && { localDir: folder }) }),
  );

/** Aborts a download when about so much of it has come, and gives how it ended. */
async function interrupted(folder: string, where: 'cacheDir' | 'localDir', options: XetClientOptions = {}) {
  const stop = new AbortController();
  const reason = new Error('enough');
  for (const kind of ['xorb', 'bridge'] as const)
    hub.faults.add({ kind, action: 'stall', afterBytes: ENOUGH, times: 1e9 });
  const watch = setInterval(() => {
    if (sent() >= ENOUGH) stop.abort(reason);
  }, 20);
  const outcome = await download(folder, where, options, stop.signal);
  clearInterval(watch);
  hub.faults.clear();
  hub.resetRequests();
  expect(outcome.error, told(outcome)).toBe(reason);
  await expectNoSecretsIn(folder);
  expect((await filesUnder(folder)).filter((name) => name.endsWith(PATH))).toEqual([]);
  expect((await incomplete(folder)).length, 'the partial state is kept').toBeGreaterThan(0);
}

async function expectWhole(folder: string, outcome: Outcome<DownloadResult>): Promise<DownloadResult> {
  expect(outcome.error, told(outcome)).toBeUndefined();
  const result = outcome.value!;
  expect(sha256(await readFile(result.path))).toBe(sha256(content));
  expect(await incomplete(folder)).toEqual([]);
  return result;
}

describe.each(['cacheDir', 'localDir'] as const)('in a %s', (where) => {
  test.each([
    ['Xet', {}, {}],
    ['plain HTTP by choice', {}, { xet: false }],
    ['plain HTTP, as the CAS cannot serve', { reconstructionVersions: [] }, {}],
  ] as [string, LocalHubOptions, XetClientOptions][])(
    'over %s, what was fetched before an abort is not fetched again',
    async (_name, hubOptions, options) => {
      await start(hubOptions);
      const folder = await scratch();
      await interrupted(folder, where, options);
      const result = await expectWhole(folder, await download(folder, where, options));
      // The last chunks are lost, and whatever of it still was in the buffers of the connection.
      expect(result.bytes.local).toBeGreaterThan(0);
      expect(result.bytes.network).toBe(sent());
      expect(sent()).toBeLessThan(content.length - result.bytes.local + 200_000);
    },
  );
});

describe('of a partial state', () => {
  let folder: string;
  beforeEach(async () => {
    await start();
    folder = await scratch();
    await interrupted(folder, 'localDir');
  });
  const again = async (options: XetClientOptions = {}) =>
    expectWhole(folder, await download(folder, 'localDir', options));

  test('a changed byte is found, and what is before it used', async () => {
    const path = await partialFile(folder);
    const bytes = await readFile(path);
    bytes[700_000] = (bytes[700_000] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const { local } = (await again()).bytes;
    expect(local).toBeGreaterThan(0);
    expect(local).toBeLessThanOrEqual(700_000);
  });

  test('a cut end costs only the end', async () => {
    await truncate(await partialFile(folder), 500_000);
    const { local } = (await again()).bytes;
    expect(local).toBeGreaterThan(300_000);
    expect(local).toBeLessThanOrEqual(500_000);
  });

  test.each(['zeros', 'garbage', 'cut', 'gone'] as const)(
    'a damaged journal (%s) costs no more than a new start',
    async (damage) => {
      const data = await partialFile(folder);
      const beside = (await incomplete(folder)).map((name) => join(folder, name)).filter((path) => path !== data);
      for (const path of beside) {
        const { size } = await stat(path);
        if (damage === 'gone') await rm(path);
        else if (damage === 'cut') await truncate(path, Math.floor(size / 2));
        else await writeFile(path, damage === 'zeros' ? Buffer.alloc(size) : randomBytes(size, 72));
      }
      await again();
    },
  );

  test('a journal whose data is gone', async () => {
    await rm(await partialFile(folder));
    await again();
  });

  test('data that is longer than the file', async () => {
    const path = await partialFile(folder);
    await writeFile(path, Buffer.concat([await readFile(path), randomBytes(8_000_000, 73)]));
    await again();
  });

  test('another file under the same path starts clean, and leaves nothing of the old one in it', async () => {
    const other = randomBytes(6_000_000, 74);
    await hub.commitFiles(REPO, { [PATH]: other });
    const outcome = await download(folder, 'localDir');
    expect(outcome.error, told(outcome)).toBeUndefined();
    expect(outcome.value?.bytes.local).toBe(0);
    expect(sha256(await readFile(outcome.value!.path))).toBe(sha256(other));
  });

  test('force ignores it', async () => {
    const outcome = await attempt(hub, {}, (client) =>
      client.downloadFile({ repo: REPO, path: PATH, localDir: folder, force: true }),
    );
    expect((await expectWhole(folder, outcome)).bytes.local).toBe(0);
  });

  test('the rest may come over plain HTTP', async () => {
    hub.faults.add({ kind: 'reconstruction', action: 'status', status: 503, times: 1e9 });
    const result = await again();
    expect(result.verified).toBe('sha256');
    expect(result.bytes.local).toBeGreaterThan(0);
    expect(sent()).toBeLessThan(content.length - result.bytes.local + 200_000);
  });

  test('an error that comes back again and again loses nothing', async () => {
    const before = (await stat(await partialFile(folder))).size;
    for (const status of [503, 404, 403]) {
      hub.faults.add({ kind: 'reconstruction', action: 'status', status, times: 1e9 });
      expect((await download(folder, 'localDir', { fallback: 'never' })).error).toBeInstanceOf(Error);
      hub.faults.clear();
    }
    hub.resetRequests();
    expect((await again()).bytes.local).toBeGreaterThan(before - 200_000);
  });
});

test('a signal that is aborted already starts nothing', async () => {
  await start();
  const folder = await scratch();
  const reason = new Error('never mind');
  const outcome = await download(folder, 'localDir', {}, AbortSignal.abort(reason));
  expect(outcome.error).toBe(reason);
  expect(hub.requests).toEqual([]);
  expect(await filesUnder(folder)).toEqual([]);
});

test('an abort while it waits for an answer, for a retry and for a lock rejects with the reason', async () => {
  await start();
  for (const fault of [
    { kind: 'resolve', action: 'delay', ms: 3_600_000, times: 1e9 },
    { kind: 'token', action: 'delay', ms: 3_600_000, times: 1e9 },
    { kind: 'reconstruction', action: 'status', status: 429, headers: { 'retry-after': '300' }, times: 1e9 },
    { kind: 'xorb', action: 'status', status: 503, headers: { 'retry-after': '300' }, times: 1e9 },
  ] as const) {
    hub.faults.clear();
    hub.resetRequests();
    hub.faults.add(fault);
    const stop = new AbortController();
    const reason = new Error(fault.kind);
    const watch = setInterval(() => {
      if (seen(hub, fault.kind).length > 0) stop.abort(reason);
    }, 20);
    const outcome = await download(await scratch(), 'localDir', {}, stop.signal);
    clearInterval(watch);
    expect(outcome.error, told(outcome)).toBe(reason);
    expect(seen(hub, fault.kind).length).toBeLessThan(10);
  }
});
