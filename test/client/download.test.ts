import { lstat, mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Progress } from 'xetkit';
import type { LocalHubOptions } from 'xetkit/local-hub';
import { clientOf, contentUnder, hubFor, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes, text, weights } from '../support/samples.ts';

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const repo = 'owner/model';
const model = weights(6, 1);
const noise = randomBytes(3_000_000, 2);
const files = {
  'config.json': new TextEncoder().encode('{"a": 1}\n'),
  'model.safetensors': model,
  'data/noise.bin': noise,
  'data/text.bin': Buffer.concat([Uint8Array.of(0), text(2_500_000, 3)]),
  // Chunks of its own, of the model, of itself again and of the noise: terms out of order and shared ranges.
  'data/patchwork.bin': Buffer.concat([
    model.subarray(2_000_000, 4_000_000),
    text(300_000, 4),
    noise.subarray(1_000_000, 2_500_000),
    model.subarray(0, 3_500_000),
    model.subarray(2_000_000, 4_000_000),
  ]),
  'empty.bin': new Uint8Array(),
  'odd #1 %41 ?ü.bin': randomBytes(200_000, 5),
};

// Each way in which a CAS may lay out and serve the same files.
const servers: Record<
  string,
  { hub?: LocalHubOptions; chunksPerXorb?: number; compression?: 'none' | 'lz4' | 'bg4-lz4' }
> = {
  'as the Hub does it': {},
  'many small xorbs': { chunksPerXorb: 5 },
  'stored chunks': { compression: 'none' },
  'LZ4 chunks': { compression: 'lz4' },
  'BG4 chunks': { compression: 'bg4-lz4' },
  'only the first version of reconstructions': { hub: { reconstructionVersions: [1] } },
  'addresses that insist on exactly their ranges': { hub: { rangeRule: 'exact' }, chunksPerXorb: 20 },
  'ranges left apart, one to an address': { hub: { mergeRanges: false, maxRangesPerUrl: 1 }, chunksPerXorb: 20 },
  'ranges left apart, exact': { hub: { mergeRanges: false, rangeRule: 'exact' }, chunksPerXorb: 20 },
};

describe.each(Object.entries(servers))('a server with %s', (_name, { hub: options, ...layout }) => {
  test('gives every file, whole and in ranges', async () => {
    const hub = await hubFor(options);
    await hub.commitFiles(repo, files, layout);
    const client = clientOf(hub);
    const localDir = await scratch();
    for (const [path, bytes] of Object.entries(files)) {
      const result = await client.downloadFile({ repo, path, localDir });
      expect(sha256(await readFile(join(localDir, path))), path).toBe(sha256(bytes));
      expect(result).toMatchObject({
        path,
        localPath: join(localDir, path),
        size: bytes.length,
        verified: result.xetHash ? 'xet' : 'git-sha1',
      });
      const file = await client.open({ repo, path });
      const ends = [0, 1, 8191, 131_072, bytes.length >> 1, bytes.length - 1, bytes.length].filter(
        (end) => end >= 0 && end <= bytes.length,
      );
      for (const start of ends) {
        const end = Math.min(bytes.length, start + 150_000);
        expect(sha256(await file.read(start, end)), `${path} ${start}–${end}`).toBe(sha256(bytes.subarray(start, end)));
      }
    }
    expect(await contentUnder(localDir)).toEqual(Object.keys(files).sort());
  });
});

test('a file is fetched with one call of each kind, and each range once', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  hub.resetRequests();
  const result = await clientOf(hub).downloadFile({ repo, path: 'model.safetensors', localDir: await scratch() });
  expect(hub.requests.map(({ kind }) => kind)).toEqual(['resolve', 'token', 'reconstruction', 'xorb']);
  expect(result.requests).toBe(3);
  expect(result.bytes.network).toBe(seen(hub, 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0));
  expect(result.bytes.network).toBeLessThan(model.length);
});

test('terms that share ranges cost each range once, or again where holding would take too much', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  for (const [memoryBudget, times] of [
    [256 << 20, 1],
    [16 << 20, 2],
  ] as const) {
    hub.resetRequests();
    const client = clientOf(hub, { memoryBudget });
    const file = await client.open({ repo, path: 'data/patchwork.bin' });
    expect(sha256(await file.arrayBuffer())).toBe(sha256(files['data/patchwork.bin']));
    const asked = seen(hub, 'xorb').map(({ path, range }) => `${path} ${range}`);
    const most = Math.max(...asked.map((one) => asked.filter((other) => other === one).length));
    expect(most).toBeLessThanOrEqual(times);
  }
});

test('the Hub cache folder is laid out as Python lays it out', async () => {
  const hub = await hubFor();
  const { commit } = await hub.commitFiles(repo, files);
  const cacheDir = await scratch();
  const client = clientOf(hub, { cacheDir });
  const result = await client.downloadFile({ repo, path: 'data/noise.bin' });
  const root = join(cacheDir, 'models--owner--model');
  expect(result.localPath).toBe(join(root, 'snapshots', commit, 'data/noise.bin'));
  expect((await lstat(result.localPath)).isSymbolicLink()).toBe(true);
  expect(await readlink(result.localPath)).toBe(`../../../blobs/${sha256(noise)}`);
  expect(await readFile(join(root, 'refs/main'), 'utf8')).toBe(commit);
  expect(sha256(await readFile(result.localPath))).toBe(sha256(noise));

  hub.resetRequests();
  const again = await client.downloadFile({ repo, path: 'data/noise.bin' });
  expect(again).toMatchObject({
    localPath: result.localPath,
    verified: 'xet',
    bytes: { network: 0, local: noise.length },
  });
  expect(hub.requests.map(({ kind }) => kind)).toEqual(['resolve']);
});

test('what is already in a folder is kept only if it is the right file', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  const client = clientOf(hub);
  const localDir = await scratch();
  const path = 'data/noise.bin';
  await mkdir(join(localDir, 'data'));
  const wrong = noise.slice();
  wrong[1234] = (wrong[1234] ?? 0) ^ 1;
  await writeFile(join(localDir, path), wrong);
  expect((await client.downloadFile({ repo, path, localDir })).bytes.network).toBeGreaterThan(0);
  expect(sha256(await readFile(join(localDir, path)))).toBe(sha256(noise));
  expect((await client.downloadFile({ repo, path, localDir })).bytes).toEqual({
    network: 0,
    cache: 0,
    local: noise.length,
  });
  expect((await client.downloadFile({ repo, path, localDir, force: true })).bytes.network).toBeGreaterThan(0);
});

test('progress never goes back and ends at all of it', async () => {
  const hub = await hubFor();
  await hub.commitFiles(repo, files);
  const reports: Progress[] = [];
  await clientOf(hub).downloadFile({
    repo,
    path: 'model.safetensors',
    localDir: await scratch(),
    onProgress: (progress) => reports.push(progress),
  });
  expect(reports.every(({ bytes }) => bytes.total === model.length)).toBe(true);
  const done = reports.map(({ bytes }) => bytes.done);
  expect(done).toEqual([...done].sort((a, b) => a - b));
  expect(reports.at(-1)).toMatchObject({
    phase: 'done',
    files: { done: 1, total: 1 },
    bytes: { done: model.length },
    etaSeconds: 0,
  });
});

test('revisions and repository types lead to different files', async () => {
  const hub = await hubFor();
  const { commit } = await hub.commitFiles(repo, { 'a.bin': randomBytes(100_000, 1) }, { xet: 'always' });
  await hub.commitFiles(repo, { 'a.bin': randomBytes(100_000, 2) }, { xet: 'always', branch: 'refs-like/branch' });
  await hub.commitFiles(
    { type: 'dataset', name: 'owner/model' },
    { 'a.bin': randomBytes(100_000, 3) },
    { xet: 'always' },
  );
  const client = clientOf(hub);
  const read = async (target: { repo: string; revision?: string }) =>
    sha256(await (await client.open({ ...target, path: 'a.bin' })).arrayBuffer());
  expect(await read({ repo })).toBe(sha256(randomBytes(100_000, 1)));
  expect(await read({ repo, revision: commit })).toBe(sha256(randomBytes(100_000, 1)));
  expect(await read({ repo, revision: 'refs-like/branch' })).toBe(sha256(randomBytes(100_000, 2)));
  expect(await read({ repo: 'datasets/owner/model' })).toBe(sha256(randomBytes(100_000, 3)));
});

test('listing pages through folders', async () => {
  const hub = await hubFor();
  const many = Object.fromEntries(
    Array.from({ length: 1203 }, (_, index) => [`many/${index}.txt`, new TextEncoder().encode(`${index}`)]),
  );
  await hub.commitFiles(repo, { ...many, 'data/noise.bin': noise });
  const client = clientOf(hub);
  const all = await collect(client.listFiles({ repo, recursive: true }));
  expect(all.filter(({ type }) => type === 'file').length).toBe(1204);
  expect(all.find(({ path }) => path === 'data/noise.bin')).toMatchObject({
    size: noise.length,
    sha256: sha256(noise),
  });
  const top = await collect(client.listFiles({ repo }));
  expect(top.map(({ path, type }) => `${type} ${path}`).sort()).toEqual(['directory data', 'directory many']);
  expect((await collect(client.listFiles({ repo, path: 'data' }))).map(({ path }) => path)).toEqual(['data/noise.bin']);
});
