import { lstat, readFile, realpath, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { CacheUsage, CheckedBlob, Progress, XetClient, XetClientOptions } from 'xetkit';
import type { LocalHub } from 'xetkit/local-hub';
import { uniform } from '../../scripts/demo/weights.mjs';
import { memoryChunkStore } from '../../src/cache/chunks/chunk-store.memory.ts';
import { memoryRecipeStore } from '../../src/cache/recipes/recipe-store.memory.ts';
import { BaseXetClient } from '../../src/client/client.ts';
import { platform as webPlatform } from '../../src/client/platform.web.ts';
import { memoryVerifiedFiles } from '../../src/files/verified-files.memory.ts';
import { openVerifiedFiles } from '../../src/files/verified-files.node.ts';
import { openWebCacheControl } from '../../src/manage/cache-control.web.ts';
import { SampleXorbs, sampleHash } from '../support/chunk-samples.ts';
import { bytesIn, filesIn } from '../support/folder.ts';
import { clientOf, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { hashOf, recipeOf } from '../support/recipe-samples.ts';
import { randomBytes } from '../support/samples.ts';

const MODEL = 'owner/model';
const DATA = 'datasets/owner/data';
const base = randomBytes(300_000, 1);
const first = new TextEncoder().encode('{"version": 1}\n');
const second = new TextEncoder().encode('{"version": 2, "more": true}\n');
const table = randomBytes(70_000, 4);

afterEach(() => vi.restoreAllMocks());

/** What is young may be on its way: prunes leave it alone. */
function letTimePass(): void {
  const now = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 3 * 60 * 60 * 1000);
}

/** Bytes of content in a Hub cache folder, counted without any knowledge of it: no links, no notes, no locks. */
async function contentBytes(cacheDir: string): Promise<number> {
  let bytes = 0;
  for (const path of await filesIn(cacheDir)) {
    if (/\/(?:blobs|snapshots)\//.test(path)) bytes += (await lstat(path)).size;
  }
  return bytes;
}

interface Setup {
  hub: LocalHub;
  client: XetClient;
  cacheDir: string;
  dir: string;
  /** Of the model: the first one is not `main` any more. */
  commits: [string, string];
  again(options?: XetClientOptions): XetClient;
}

/** A model of which there are two commits, and a data set. */
async function filled(): Promise<Setup> {
  const hub = await hubFor();
  const [cacheDir, dir] = [join(await realpath(await scratch()), 'hub'), await scratch()];
  const again = (options: XetClientOptions = {}) => clientOf(hub, { cacheDir, chunkCache: { dir }, ...options });
  const client = again();
  const one = await hub.commitFiles(MODEL, { 'base.bin': base, 'config.json': first });
  await client.snapshot({ repo: MODEL });
  const two = await hub.commitFiles(MODEL, { 'config.json': second });
  await client.snapshot({ repo: MODEL });
  await hub.commitFiles(DATA, { 'table.bin': table });
  await client.snapshot({ repo: DATA });
  return { hub, client, cacheDir, dir, commits: [one.commit, two.commit], again };
}

/** Reads a file that leaves no file, so that its chunks stay. */
async function readAway(hub: LocalHub, client: XetClient, bytes = randomBytes(400_000, 9)): Promise<void> {
  await hub.commitFiles('owner/read', { 'read.bin': bytes }, { xet: 'always' });
  await (await client.open({ repo: 'owner/read', path: 'read.bin' })).arrayBuffer();
}

/** A download that has written something, and goes no further. */
async function stalledDownload({ hub, client }: Setup): Promise<{ big: Uint8Array; stop: () => Promise<void> }> {
  const big = randomBytes(3_000_000, 5);
  await hub.commitFiles(MODEL, { 'big.bin': big });
  const fault = hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 2_000_000, times: 1e9 });
  const abort = new AbortController();
  const download = client.downloadFile({ repo: MODEL, path: 'big.bin', signal: abort.signal });
  const rejected = expect(download).rejects.toThrow('enough');
  await vi.waitFor(async () => {
    const { unfinished } = await client.cache.usage();
    expect(unfinished.some(({ bytes }) => bytes > 100_000)).toBe(true);
  }, 20_000);
  const stop = async () => {
    abort.abort(new Error('enough'));
    await rejected;
    fault.remove();
  };
  return { big, stop };
}

const blobOf = (cacheDir: string, bytes: Uint8Array) => join(cacheDir, 'models--owner--model', 'blobs', sha256(bytes));

/** Changes a byte, and nothing else that shows. */
async function flip(path: string): Promise<void> {
  const { atime, mtime } = await stat(path);
  const bytes = await readFile(path);
  bytes[1000]! ^= 4;
  await writeFile(path, bytes);
  await utimes(path, atime, mtime);
}

describe('usage', () => {
  test('tells what is there, what revisions share and what a prune would free', async () => {
    const { hub, client, cacheDir, dir, commits } = await filled();
    await readAway(hub, client);
    const usage = await client.cache.usage();
    const all = base.length + first.length + second.length;
    expect(usage).toMatchObject({ folder: cacheDir, unfinished: [], warnings: [] } satisfies Partial<CacheUsage>);
    expect(usage.repos).toMatchObject([
      { repo: DATA, type: 'dataset', bytes: table.length, blobCount: 1, sharedBytes: 0, unusedBytes: 0 },
      { repo: MODEL, type: 'model', bytes: all, blobCount: 3, sharedBytes: base.length, unusedBytes: 0 },
    ]);
    expect([...usage.repos[1]!.revisions].sort((a, b) => a.bytes - b.bytes)).toMatchObject([
      { commit: commits[0], refs: [], bytes: base.length + first.length, fileCount: 2 },
      { commit: commits[1], refs: ['main'], bytes: base.length + second.length, fileCount: 2 },
    ]);
    expect(usage.hubBytes).toBe(await contentBytes(cacheDir));
    expect(usage.prunable).toEqual({ bytes: first.length, revisions: 1 });
    const { recipes, chunks, verifiedFiles } = usage.xetkit;
    for (const cache of [recipes, chunks, verifiedFiles]) expect(cache?.folder).toBe(dir);
    expect(recipes.count).toBe(3);
    expect(chunks).toMatchObject({ maxBytes: 10 * 1024 ** 3 });
    expect(chunks?.bytes).toBeGreaterThanOrEqual(400_000);
    expect(verifiedFiles.count).toBe(4);
    expect(usage.totalBytes).toBe(usage.hubBytes + recipes.bytes + (chunks?.bytes ?? 0) + verifiedFiles.bytes);
    // xetkit's own caches count blocks: never less than there is, and not much more.
    const onDisk = await bytesIn(dir);
    const counted = usage.totalBytes - usage.hubBytes;
    expect(counted).toBeGreaterThanOrEqual(onDisk);
    expect(counted).toBeLessThan(onDisk + 4096 * ((await filesIn(dir)).length + 1));
  });

  test('of nothing is nothing, and makes no folder', async () => {
    const [cacheDir, dir] = [join(await scratch(), 'none'), join(await scratch(), 'none')];
    const client = clientOf(await hubFor(), { cacheDir, chunkCache: { dir } });
    const nothing = { repos: [], hubBytes: 0, totalBytes: 0, prunable: { bytes: 0, revisions: 0 }, warnings: [] };
    expect(await client.cache.usage()).toMatchObject(nothing);
    expect(await client.cache.verify()).toMatchObject({ checked: 0, wrong: [], recipes: { checked: 0, dropped: 0 } });
    expect(await client.cache.prune()).toMatchObject({ freedBytes: 0, removals: [], failures: [] });
    expect(await client.cache.clear()).toEqual({ freedBytes: 0 });
    await expect(lstat(cacheDir)).rejects.toThrow();
    await expect(lstat(dir)).rejects.toThrow();
  });

  test('a client that keeps no chunks has none to tell of, nor to prune', async () => {
    const { again } = await filled();
    const client = again({ chunkCache: false });
    expect((await client.cache.usage()).xetkit.chunks).toBeUndefined();
    expect(await client.cache.prune({ maxBytes: 0, detached: false })).toMatchObject({ chunkBytes: 0, failures: [] });
  });

  test('of what is damaged goes on, and says where', async () => {
    const { client, cacheDir, dir } = await filled();
    const model = join(cacheDir, 'models--owner--model');
    await rm(blobOf(cacheDir, base));
    await writeFile(join(model, 'refs', 'gone'), 'f'.repeat(40));
    await writeFile(join(cacheDir, 'stray'), '');
    await symlink('nowhere', join(cacheDir, 'models--owner--lost'));
    await writeFile(join(model, 'blobs', `${'a'.repeat(64)}.xetkit.incomplete`), 'half');
    await rm(dir, { recursive: true });
    await writeFile(dir, 'a file where the caches should be');
    const { warnings, unfinished, repos } = await client.cache.usage();
    expect(repos).toHaveLength(2);
    expect(unfinished).toMatchObject([{ bytes: 4 }]);
    const places = ['snapshots', 'snapshots', join('refs', 'gone')].map((name) => join(model, name));
    for (const place of [...places, join(cacheDir, 'stray'), join(cacheDir, 'models--owner--lost')]) {
      expect(
        warnings.some(({ localPath: path, message }) => path.startsWith(place) && message.length > 10),
        place,
      ).toBe(true);
    }
    expect(warnings).toHaveLength(5);
  });

  test('of a file in place of the folder is an error that says so', async () => {
    const cacheDir = join(await scratch(), 'file');
    await writeFile(cacheDir, '');
    const { cache } = clientOf(await hubFor(), { cacheDir });
    const told = { code: 'INVALID_ARGUMENT', message: expect.stringContaining('is a file') };
    await expect(cache.usage()).rejects.toMatchObject(told);
    await expect(cache.prune()).rejects.toMatchObject(told);
    await expect(cache.verify()).rejects.toMatchObject(told);
  });
});

describe('prune', () => {
  test('removes what nothing needs, after saying so', async () => {
    const { client, cacheDir, commits } = await filled();
    const before = await contentBytes(cacheDir);
    const planned = await client.cache.prune({ dryRun: true });
    expect(planned).toMatchObject({
      dryRun: true,
      freedBytes: first.length,
      revisions: [{ repo: MODEL, commit: commits[0], refs: [], bytes: base.length + first.length }],
      failures: [],
    });
    expect(await contentBytes(cacheDir)).toBe(before);
    const done = await client.cache.prune();
    expect(done).toEqual({ ...planned, dryRun: false });
    expect(before - (await contentBytes(cacheDir))).toBe(done.freedBytes);
    expect((await client.cache.usage()).prunable).toEqual({ bytes: 0, revisions: 0 });
    expect(await client.cache.prune()).toMatchObject({ freedBytes: 0, removals: [] });
  });

  test('mends what is damaged, and takes what was broken off and what nothing uses', async () => {
    const setup = await filled();
    const { client, cacheDir } = setup;
    const { big, stop } = await stalledDownload(setup);
    await stop();
    const model = join(cacheDir, 'models--owner--model');
    await rm(blobOf(cacheDir, base));
    await writeFile(join(model, 'blobs', 'a'.repeat(64)), 'nobody needs this');
    await writeFile(join(model, 'refs', 'gone'), 'f'.repeat(40));
    expect((await client.cache.usage()).unfinished.length).toBeGreaterThan(0);
    letTimePass();
    const before = await contentBytes(cacheDir);
    const planned = await client.cache.prune({ dryRun: true });
    const done = await client.cache.prune();
    expect(done.freedBytes).toBe(planned.freedBytes);
    expect(before - (await contentBytes(cacheDir))).toBe(done.freedBytes);
    expect(done.removals.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['link', 'ref', 'blob', 'unfinished']),
    );
    expect(await client.cache.usage()).toMatchObject({ unfinished: [], warnings: [] });
    await client.snapshot({ repo: MODEL });
    expect(sha256(await readFile(blobOf(cacheDir, big)))).toBe(sha256(big));
  });

  test('leaves a download alone that is under way', async () => {
    const setup = await filled();
    const { stop } = await stalledDownload(setup);
    const unfinished = async () => (await setup.client.cache.usage()).unfinished.map(({ localPath }) => localPath);
    const before = await unfinished();
    const { removals } = await setup.client.cache.prune();
    expect(removals.filter(({ kind }) => kind === 'unfinished')).toEqual([]);
    expect(await unfinished()).toEqual(before);
    await stop();
    await setup.client.cache.prune();
    expect(await unfinished()).toEqual([]);
  });

  test('keeps revisions without a name if told to', async () => {
    const { client, cacheDir } = await filled();
    const before = await contentBytes(cacheDir);
    expect(await client.cache.prune({ detached: false })).toMatchObject({ freedBytes: 0, revisions: [] });
    expect(await contentBytes(cacheDir)).toBe(before);
  });

  test('brings chunks to so many bytes, or to the limit of the client', async () => {
    const { hub, client, dir, again } = await filled();
    await readAway(hub, client, randomBytes(900_000, 9));
    const chunks = async () => (await client.cache.usage()).xetkit.chunks!.bytes;
    const before = await chunks();
    expect((await client.cache.prune({ detached: false })).chunkBytes).toBe(0);
    const planned = await client.cache.prune({ maxBytes: 600_000, detached: false, dryRun: true });
    expect(planned).toMatchObject({ chunkBytes: before - 600_000, freedBytes: before - 600_000 });
    expect(await chunks()).toBe(before);
    const done = await client.cache.prune({ maxBytes: 600_000, detached: false });
    expect(done.chunkBytes).toBeGreaterThanOrEqual(planned.chunkBytes);
    expect(before - (await chunks())).toBe(done.chunkBytes);
    expect(await chunks()).toBeLessThanOrEqual(600_000);

    const small = again({ chunkCache: { dir, maxBytes: 100_000 } });
    expect((await small.cache.usage()).prunable.bytes).toBe(first.length + (await chunks()) - 100_000);
    await small.cache.prune({ detached: false });
    expect(await chunks()).toBeLessThanOrEqual(100_000);
    await client.cache.prune({ maxBytes: 0 });
    expect(await chunks()).toBe(0);
    for (const maxBytes of [-1, Number.NaN])
      await expect(client.cache.prune({ maxBytes })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('remove', () => {
  test('takes repositories and revisions, and gives back what they alone had', async () => {
    const { hub, client, cacheDir, commits } = await filled();
    const before = await contentBytes(cacheDir);
    const planned = await client.cache.remove(`${MODEL}@main`, { dryRun: true });
    expect(planned).toMatchObject({ freedBytes: second.length, revisions: [{ commit: commits[1], refs: ['main'] }] });
    expect(await client.cache.remove(`${MODEL}@main`)).toEqual({ ...planned, dryRun: false });
    expect(before - (await contentBytes(cacheDir))).toBe(second.length);
    expect(await client.cache.remove([commits[0].slice(0, 8), { repo: DATA }])).toMatchObject({
      freedBytes: base.length + first.length + table.length,
    });
    expect(await contentBytes(cacheDir)).toBe(0);
    expect((await client.cache.usage()).repos).toEqual([]);
    hub.resetRequests();
    await client.snapshot({ repo: MODEL });
    expect(seen(hub, 'xorb').length).toBeGreaterThan(0);
    expect(sha256(await readFile(blobOf(cacheDir, base)))).toBe(sha256(base));
  });

  test('of what is not there changes nothing', async () => {
    const { client, cacheDir } = await filled();
    const before = await contentBytes(cacheDir);
    for (const targets of [[MODEL, 'owner/other'], ['f'.repeat(40)], [`${MODEL}@dev`], []]) {
      await expect(client.cache.remove(targets), targets.join()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(await contentBytes(cacheDir)).toBe(before);
  });
});

describe('verify', () => {
  test('hashes everything, says how far it is, and spares the next download the hashing', async () => {
    const { client, cacheDir, dir } = await filled();
    await rm(join(dir, 'files'), { recursive: true });
    const [checked, reports]: [CheckedBlob[], Progress[]] = [[], []];
    const report = await client.cache.verify({
      onFile: (file) => checked.push(file),
      onProgress: (progress) => reports.push(progress),
    });
    const bytes = await contentBytes(cacheDir);
    expect(report).toMatchObject({ checked: 4, bytes, wrong: [], unknown: [], warnings: [] });
    expect(report.recipes).toEqual({ checked: 2, dropped: 0 });
    expect(checked.map(({ repo, verdict }) => `${repo} ${verdict}`).sort()).toEqual([
      `${DATA} sha256`,
      `${MODEL} git-sha1`,
      `${MODEL} git-sha1`,
      `${MODEL} sha256`,
    ]);
    expect(reports[0]).toMatchObject({ phase: 'verifying', bytes: { done: 0, total: bytes } });
    expect(reports.at(-1)).toMatchObject({ phase: 'done', bytes: { done: bytes }, files: { done: 4, total: 4 } });
    const known = openVerifiedFiles(join(dir, 'files'));
    expect(await known.check(blobOf(cacheDir, base), sha256(base))).toBe('sha256');
    // The listing of the commit said what it is to Xet, so it is a source of chunks again.
    const { xetHash } = await client.fileInfo({ repo: MODEL, path: 'base.bin' });
    expect(await known.pathsOf(xetHash!)).toEqual([blobOf(cacheDir, base)]);
  });

  test('a file that is known stays a source, also when only its times changed', async () => {
    const { client, cacheDir, dir } = await filled();
    await rm(join(cacheDir, 'models--owner--model', 'trees'), { recursive: true });
    const then = new Date(Date.now() - 60_000);
    await utimes(blobOf(cacheDir, base), then, then);
    await client.cache.verify({ repos: [MODEL] });
    const { xetHash } = await client.fileInfo({ repo: MODEL, path: 'base.bin' });
    expect(await openVerifiedFiles(join(dir, 'files')).pathsOf(xetHash!)).toEqual([blobOf(cacheDir, base)]);
  });

  test('names what is wrong; the next download does not believe it either', async () => {
    const { client, cacheDir } = await filled();
    const blob = blobOf(cacheDir, base);
    await flip(blob);
    const report = await client.cache.verify({ repos: [MODEL] });
    expect(report.wrong).toMatchObject([{ repo: MODEL, localPath: blob, verdict: 'wrong', removed: false }]);
    expect(report.wrong[0]!.snapshotPaths).toHaveLength(2);
    expect(report).toMatchObject({ checked: 3, recipes: { checked: 0 } });
    expect((await client.cache.verify({ repos: [DATA] })).wrong).toEqual([]);
    await client.snapshot({ repo: MODEL });
    expect(sha256(await readFile(blob))).toBe(sha256(base));
    expect((await client.cache.verify()).wrong).toEqual([]);
  });

  test('removes what is wrong and links to what is missing, so that it is fetched', async () => {
    const { hub, client, cacheDir, commits } = await filled();
    await flip(blobOf(cacheDir, base));
    const snapshots = join(cacheDir, 'models--owner--model', 'snapshots');
    await rm(await realpath(join(snapshots, commits[1], 'config.json')));
    const found = await client.cache.verify();
    expect(found.wrong.map(({ verdict, removed }) => [verdict, removed])).toEqual([
      ['wrong', false],
      ['missing', false],
    ]);
    expect(found.warnings).toEqual([]);
    const repaired = await client.cache.verify({ repair: true });
    expect(repaired.wrong.map(({ verdict, removed }) => [verdict, removed])).toEqual([
      ['wrong', true],
      ['missing', true],
    ]);
    expect(await client.cache.verify()).toMatchObject({ wrong: [], warnings: [] });
    hub.resetRequests();
    await client.snapshot({ repo: MODEL });
    expect(sha256(await readFile(join(snapshots, commits[1], 'base.bin')))).toBe(sha256(base));
    expect(await readFile(join(snapshots, commits[1], 'config.json'))).toEqual(Buffer.from(second));
  });

  test('drops recipes that are damaged', async () => {
    const { client, dir } = await filled();
    const [recipe] = (await filesIn(join(dir, 'shards'))).filter((path) => path.includes('/recipes/'));
    const bytes = await readFile(recipe!);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(recipe!, bytes);
    expect((await client.cache.verify()).recipes).toEqual({ checked: 2, dropped: 1 });
    expect((await client.cache.verify()).recipes).toEqual({ checked: 1, dropped: 0 });
  });

  test('stops when it is told to, or the client is closed', async () => {
    const { client, again } = await filled();
    const stop = new AbortController();
    const onFile = () => stop.abort(new Error('enough'));
    await expect(client.cache.verify({ signal: stop.signal, onFile })).rejects.toThrow('enough');
    const closed = again();
    const { cache } = closed;
    await closed.close();
    for (const call of [() => cache.usage(), () => cache.prune(), () => cache.verify(), () => cache.clear()])
      await expect(call()).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(cache.remove(MODEL)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('of a repository that is not there is an error', async () => {
    const { client } = await filled();
    await expect(client.cache.verify({ repos: ['owner/data'] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('There is datasets/owner/data.'),
    });
  });
});

test('clear empties all that xetkit alone keeps, and no more', async () => {
  const { hub, client, cacheDir, dir } = await filled();
  await readAway(hub, client);
  const before = await client.cache.usage();
  const { freedBytes } = await client.cache.clear();
  expect(freedBytes).toBe(before.totalBytes - before.hubBytes);
  expect(await client.cache.usage()).toMatchObject({
    repos: before.repos,
    totalBytes: before.hubBytes,
    xetkit: { recipes: { count: 0 }, chunks: { entries: 0 }, verifiedFiles: { count: 0 } },
  });
  expect(await bytesIn(dir)).toBeLessThan(100);
  expect(await client.cache.verify()).toMatchObject({ checked: 4, wrong: [] });
  hub.resetRequests();
  await client.snapshot({ repo: MODEL });
  expect(seen(hub, 'xorb')).toEqual([]);
  expect(sha256(await readFile(blobOf(cacheDir, base)))).toBe(sha256(base));
});

// Whatever is in the folder: what is said to be freed is what is gone, and what a ref stands for stays.
test.each([1, 2, 3, 4])('a mix of repositories, revisions and commits (%i)', async (seed) => {
  const random = uniform(seed);
  const upTo = (limit: number) => Math.floor(random() * limit);
  const hub = await hubFor();
  const cacheDir = join(await scratch(), 'hub');
  const client = clientOf(hub, { cacheDir });
  const pool = Array.from({ length: 12 }, (_, index) => randomBytes(200 + upTo(60_000), seed * 100 + index));
  for (const repo of ['a/one', 'datasets/a/two', 'spaces/a/three'].slice(0, 1 + upTo(3))) {
    for (let commit = 0; commit < 4; commit++) {
      const files = Array.from({ length: 1 + upTo(4) }, () => [`${upTo(6)}.bin`, pool[upTo(pool.length)]!]);
      const branch = random() < 0.3 ? `branch-${upTo(3)}` : 'main';
      const made = await hub.commitFiles(repo, Object.fromEntries(files), { branch, message: `${commit}` });
      if (random() < 0.8) await client.snapshot({ repo, revision: random() < 0.4 ? made.commit : branch });
    }
  }
  const look = async () => {
    const { repos, hubBytes, prunable } = await client.cache.usage();
    expect(hubBytes).toBe(await contentBytes(cacheDir));
    return { repos, hubBytes, prunable, revisions: repos.flatMap((repo) => repo.revisions) };
  };
  const before = await look();
  const pruned = await client.cache.prune();
  const after = await look();
  expect(pruned.freedBytes).toBe(before.prunable.bytes);
  expect(before.hubBytes - after.hubBytes).toBe(pruned.freedBytes);
  expect(after.revisions).toEqual(before.revisions.filter(({ refs }) => refs.length > 0));
  expect(after.prunable).toEqual({ bytes: 0, revisions: 0 });
  expect(await client.cache.verify()).toMatchObject({ wrong: [], unknown: [], warnings: [] });
  for (let { revisions, hubBytes } = after; revisions.length > 0; ) {
    const { commit } = revisions[upTo(revisions.length)]!;
    const planned = await client.cache.remove(commit, { dryRun: true });
    const { freedBytes } = await client.cache.remove(commit);
    const now = await look();
    expect(planned.freedBytes).toBe(freedBytes);
    expect(hubBytes - now.hubBytes).toBe(freedBytes);
    expect(now.revisions.map((each) => each.commit)).not.toContain(commit);
    expect(await client.cache.verify()).toMatchObject({ wrong: [], warnings: [] });
    ({ revisions, hubBytes } = now);
  }
  expect(await contentBytes(cacheDir)).toBe(0);
});

describe('without a file system', () => {
  test('the caches are counted, pruned and cleared', async () => {
    const samples = new SampleXorbs(3000, 3000);
    const recipes = memoryRecipeStore();
    const chunks = memoryChunkStore({ maxBytes: 1e9, hash: sampleHash });
    const closing = new AbortController();
    const cache = openWebCacheControl({
      stores: { recipes, chunks, known: memoryVerifiedFiles(), chunkLimitBytes: 50_000, folders: undefined },
      cacheDir: undefined,
      closing: closing.signal,
    });
    await recipes.put(recipeOf('model', [['a', 0, 40]]));
    for (let xorb = 0; xorb < 4; xorb++) await chunks.put(samples.name(xorb), samples.run(xorb, { start: 0, end: 10 }));
    const { bytes } = await chunks.usage();
    const usage = await cache.usage();
    expect(usage).toMatchObject({
      folder: undefined,
      repos: [],
      hubBytes: 0,
      xetkit: { recipes: { folder: undefined, count: 1 }, chunks: { entries: 4, bytes, maxBytes: 50_000 } },
      prunable: { bytes: bytes - 50_000, revisions: 0 },
    });
    expect(usage.totalBytes).toBe(bytes + usage.xetkit.recipes.bytes);
    // What was used last stays.
    await chunks.read(samples.name(0), { start: 0, end: 1 });
    expect((await cache.prune({ dryRun: true })).freedBytes).toBe(bytes - 50_000);
    expect((await cache.prune()).freedBytes).toBeGreaterThanOrEqual(bytes - 50_000);
    expect(await chunks.find(samples.name(0), { start: 0, end: 10 })).toEqual([{ start: 0, end: 10 }]);
    expect((await cache.usage()).xetkit.chunks).toMatchObject({ entries: 1 });
    await cache.prune({ maxBytes: 0 });
    expect((await cache.usage()).xetkit.chunks).toMatchObject({ entries: 0 });
    expect((await cache.clear()).freedBytes).toBe(usage.xetkit.recipes.bytes);
    expect(await recipes.get(hashOf('model'))).toBeUndefined();
    closing.abort(new Error('closed'));
    await expect(cache.usage()).rejects.toThrow('closed');
  });

  test('there is nothing to verify and nothing to remove, which the client of pages says', async () => {
    await using client = new BaseXetClient({ workers: 0 }, webPlatform);
    expect(await client.cache.usage()).toMatchObject({ repos: [], totalBytes: 0, warnings: [] });
    expect(await client.cache.prune({ maxBytes: 0 })).toMatchObject({ freedBytes: 0 });
    expect(await client.cache.clear()).toEqual({ freedBytes: 0 });
    const told = { code: 'UNSUPPORTED', message: expect.stringMatching(/which browsers do not have/) };
    await expect(client.cache.verify()).rejects.toMatchObject(told);
    await expect(client.cache.remove('owner/model')).rejects.toMatchObject(told);
  });
});
