import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DownloadResult, XetClientOptions } from 'xetkit';
import type { LocalHub, LocalHubOptions } from 'xetkit/local-hub';
import { chunkCount, chunkLength } from '../../src/core/chunks.ts';
import { type ByteRange, lengthOf } from '../../src/core/ranges.ts';
import { decodeEntries } from '../../src/files/journal.ts';
import { contentUnder, scratch, seen, sha256 } from '../support/hub.ts';
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
const incomplete = async (folder: string) =>
  (await contentUnder(folder)).filter((name) => name.endsWith('.incomplete'));
/** The largest of them holds the bytes; what is beside it says what they are. */
async function partialFile(folder: string): Promise<string> {
  const paths = (await incomplete(folder)).map((name) => join(folder, name));
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  return paths[sizes.indexOf(Math.max(...sizes))]!;
}

async function journalFile(folder: string): Promise<string> {
  const name = (await incomplete(folder)).find((one) => one.includes('journal'));
  return join(folder, name ?? 'no journal');
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
  const somethingIsKept = async () => (await entriesIn(folder).catch(() => new Uint8Array())).length > 200;
  const watch = setInterval(async () => {
    if (sent() >= ENOUGH && (await somethingIsKept())) stop.abort(reason);
  }, 20);
  const outcome = await download(folder, where, options, stop.signal);
  clearInterval(watch);
  hub.faults.clear();
  hub.resetRequests();
  expect(outcome.error, told(outcome)).toBe(reason);
  await expectNoSecretsIn(folder);
  expect((await contentUnder(folder)).filter((name) => name.endsWith(PATH))).toEqual([]);
  expect((await incomplete(folder)).length, 'the partial state is kept').toBeGreaterThan(0);
}

/** A journal after the line that says what the file is, and the one that names who writes to it. */
async function entriesIn(folder: string): Promise<Uint8Array> {
  const journal = new Uint8Array(await readFile(await journalFile(folder)));
  return journal.subarray(journal.indexOf(10, journal.indexOf(10) + 1) + 1);
}

async function expectWhole(folder: string, outcome: Outcome<DownloadResult>): Promise<DownloadResult> {
  expect(outcome.error, told(outcome)).toBeUndefined();
  const result = outcome.value!;
  expect(sha256(await readFile(result.localPath))).toBe(sha256(content));
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

  /** The chunks that the journal names, in the order in which they were written. */
  const noted = async (): Promise<ByteRange[]> => {
    return decodeEntries(await entriesIn(folder), content.length).flatMap(({ start, chunks }) => {
      let at = start;
      return Array.from({ length: chunkCount(chunks) }, (_, index) => {
        at += chunkLength(chunks, index);
        return { start: at - chunkLength(chunks, index), end: at };
      });
    });
  };

  test('a changed byte is found, and costs its chunk only', async () => {
    const chunks = await noted();
    const hit = chunks[Math.floor(chunks.length / 2)]!;
    const path = await partialFile(folder);
    const bytes = await readFile(path);
    bytes[hit.start + 10] = (bytes[hit.start + 10] ?? 0) ^ 1;
    await writeFile(path, bytes);
    expect((await again()).bytes.local).toBe(lengthOf(chunks) - lengthOf([hit]));
  });

  test('a cut end costs only the end', async () => {
    const chunks = await noted();
    const cut = chunks[0]!.start + 500_000;
    await truncate(await partialFile(folder), cut);
    const kept = chunks.filter(({ end }) => end <= cut);
    expect(kept.length).toBeGreaterThan(0);
    expect((await again()).bytes.local).toBe(lengthOf(kept));
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
    expect(sha256(await readFile(outcome.value!.localPath))).toBe(sha256(other));
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
  expect(await contentUnder(folder)).toEqual([]);
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
