import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { sent } from '../support/engines.ts';
import { filesIn } from '../support/folder.ts';
import { scratch, sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';
import { freshCacheDir, sourceClient, sourceHub, spoilXorbs } from '../support/source.ts';

const original = randomBytes(3_000_000, 1);
/** The original with something put into it. */
const variant = Buffer.concat([original.subarray(0, 1_400_000), randomBytes(400_000, 2), original.subarray(1_400_000)]);

const repository = 'owner/model';

async function hubFiles(hub: LocalHub): Promise<Map<string, number>> {
  const paths = (await filesIn(join(hub.dir, 'xorbs'))).filter((path) => path.endsWith('.xorb'));
  return new Map(await Promise.all(paths.map(async (path) => [path, (await stat(path)).size] as const)));
}

test('fetches of a variant what is new, and its numbers add up', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original }, { xet: 'always' });
  const before = await hubFiles(hub);
  await hub.commitFiles(repository, { variant }, { xet: 'always' });
  const added = [...(await hubFiles(hub))].filter(([path]) => !before.has(path));
  const newBytes = added.reduce((sum, [, size]) => sum + size, 0);
  const client = sourceClient(hub);
  const localDir = await scratch();
  const first = await client.downloadFile({ repo: repository, path: 'original', localDir });
  expect(first.bytes).toMatchObject({ cache: 0, local: 0 });
  expect(first.bytes.network).toBe(sent(hub, 'xorb'));
  hub.resetRequests();
  const second = await client.downloadFile({ repo: repository, path: 'variant', localDir });
  expect(sha256(await readFile(second.localPath))).toBe(sha256(variant));
  expect(second.bytes.network).toBe(sent(hub, 'xorb'));
  expect(second.bytes.network).toBeLessThanOrEqual(newBytes);
  expect(second.bytes.local).toBe(0);
  // Random bytes do not compress: what did not come from here came over the network, with a few headers.
  const fetched = variant.length - second.bytes.cache;
  expect(second.bytes.network).toBeGreaterThanOrEqual(fetched);
  expect(second.bytes.network).toBeLessThan(fetched + 2000);
  const { bytes, hitRates } = client.metrics();
  expect(bytes.cache).toBe(second.bytes.cache);
  expect(bytes.content).toBe(original.length + variant.length);
  const rate = second.bytes.cache / (original.length + variant.length);
  expect(hitRates).toEqual({ local: 0, cache: rate, all: rate });
  // Once more: it is in place.
  const third = await client.downloadFile({ repo: repository, path: 'variant', localDir });
  expect(third.bytes).toEqual({ network: 0, cache: 0, local: variant.length });
  const wanted = original.length + 2 * variant.length;
  expect(client.metrics().hitRates).toEqual({
    local: variant.length / wanted,
    cache: second.bytes.cache / wanted,
    all: (second.bytes.cache + variant.length) / wanted,
  });
});

test('that has done nothing yet has hit nothing', async () => {
  const hub = await sourceHub();
  expect(sourceClient(hub).metrics().hitRates).toEqual({ local: 0, cache: 0, all: 0 });
});

test('that is told to fetch again takes nothing from here', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original }, { xet: 'always' });
  const client = sourceClient(hub);
  const localDir = await scratch();
  await client.downloadFile({ repo: repository, path: 'original', localDir });
  await (await client.open({ repo: repository, path: 'original' })).arrayBuffer();
  hub.resetRequests();
  const { bytes, localPath: path } = await client.downloadFile({
    repo: repository,
    path: 'original',
    localDir,
    force: true,
  });
  expect(bytes).toMatchObject({ cache: 0, local: 0 });
  expect(bytes.network).toBeGreaterThan(original.length);
  expect(bytes.network).toBe(sent(hub, 'xorb'));
  expect(sha256(await readFile(path))).toBe(sha256(original));
});

test('reads a file a second time without asking for any of it, also in another process', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original }, { xet: 'always', chunksPerXorb: 12 });
  const dir = freshCacheDir();
  for (const time of [1, 2, 3]) {
    const client = sourceClient(hub, { chunkCache: { dir } });
    hub.resetRequests();
    const file = await client.open({ repo: repository, path: 'original' });
    expect(sha256(await file.arrayBuffer())).toBe(sha256(original));
    const kinds = hub.requests.map(({ kind }) => kind);
    if (time === 1) expect(kinds).toContain('xorb');
    else expect(kinds).toEqual(['resolve']);
    await client.close();
  }
});

describe('the options of the caches', () => {
  const readWith = async (hub: Awaited<ReturnType<typeof sourceHub>>, options: XetClientOptions) => {
    await using client = sourceClient(hub, options);
    const file = await client.open({ repo: repository, path: 'original' });
    hub.resetRequests();
    expect(sha256(await file.arrayBuffer())).toBe(sha256(original));
    return hub.requests.map(({ kind }) => kind);
  };

  test('recipes can be moved without the chunk cache', async () => {
    const hub = await sourceHub();
    await hub.commitFiles(repository, { original }, { xet: 'always' });
    const [chunks, recipes] = [freshCacheDir(), freshCacheDir()];
    const options = { chunkCache: { dir: chunks }, recipes: { dir: recipes } };
    await readWith(hub, options);
    expect(await readdir(chunks)).toEqual(['chunks']);
    expect(await readdir(recipes)).toEqual(['shards']);
    expect(await readWith(hub, options)).toEqual([]);
  });

  test('recipes and notes on verified files are where the chunk cache is unless they are moved', async () => {
    const hub = await sourceHub();
    await hub.commitFiles(repository, { original }, { xet: 'always' });
    const [dir, notes] = [freshCacheDir(), freshCacheDir()];
    await using client = sourceClient(hub, { chunkCache: { dir }, verifiedFiles: { dir: notes } });
    await client.downloadFile({ repo: repository, path: 'original', localDir: await scratch() });
    expect(await readdir(dir)).toEqual(['shards']);
    expect(await readdir(notes)).toEqual(['files']);
    const { recipes, chunks, verifiedFiles } = (await client.cache.usage()).xetkit;
    expect([recipes.folder, chunks?.folder, verifiedFiles.folder]).toEqual([dir, dir, notes]);
  });

  test('without a chunk cache recipes and notes stay where they are told to be', async () => {
    const hub = await sourceHub();
    await hub.commitFiles(repository, { original }, { xet: 'always' });
    const dir = freshCacheDir();
    const options = { chunkCache: false, recipes: { dir }, verifiedFiles: { dir } } as const;
    expect(await readWith(hub, options)).toContain('xorb');
    expect(await readdir(dir)).toEqual(['shards']);
    const { recipes, chunks } = (await sourceClient(hub, options).cache.usage()).xetkit;
    expect([recipes.count, chunks]).toEqual([1, undefined]);
    expect(await readWith(hub, options)).toContain('xorb');
  });

  test('a client without recipes remembers none, and one without notes hashes files again', async () => {
    const hub = await sourceHub();
    await hub.commitFiles(repository, { original }, { xet: 'always' });
    const dir = freshCacheDir();
    const localDir = await scratch();
    const options = { chunkCache: { dir }, recipes: false, verifiedFiles: false } as const;
    for (let time = 0; time < 2; time++) {
      await using client = sourceClient(hub, options);
      const { verified, bytes } = await client.downloadFile({ repo: repository, path: 'original', localDir });
      expect(verified).toBe(time === 0 ? 'xet' : 'sha256');
      expect(bytes.network > 0).toBe(time === 0);
      expect((await client.cache.usage()).xetkit).toMatchObject({
        recipes: { folder: undefined, count: 0 },
        verifiedFiles: { folder: undefined, count: 0 },
      });
    }
    await expect(readdir(dir)).rejects.toThrow('ENOENT');
  });

  test.each(['recipes', 'verifiedFiles'])('an unknown option of %s is refused', async (name) => {
    const hub = await sourceHub();
    const wrong = { [name]: { folder: '/tmp' } } as XetClientOptions;
    expect(() => sourceClient(hub, wrong)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    const empty = { [name]: { dir: '' } };
    expect(() => sourceClient(hub, empty)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

test('without a chunk cache no chunks are kept, and recipes still are', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original }, { xet: 'always' });
  for (let time = 0; time < 2; time++) {
    const file = await sourceClient(hub, { chunkCache: false }).open({ repo: repository, path: 'original' });
    hub.resetRequests();
    expect(sha256(await file.arrayBuffer())).toBe(sha256(original));
    expect(sent(hub, 'xorb')).toBeGreaterThan(original.length);
  }
  const { XETKIT_CACHE = '' } = process.env;
  expect(await filesIn(join(XETKIT_CACHE, 'chunks'))).toEqual([]);
  expect(await filesIn(join(XETKIT_CACHE, 'shards'))).not.toEqual([]);
});

const ranges: [number, number][] = [
  [0, 10],
  [100_000, 100_001],
  [65_000, 700_000],
  [2_000_000, 3_000_000],
  [2_999_999, 3_000_000],
];

test('that knows how a file is built gives no wrong range of it, when the server begins to lie', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original }, { xet: 'always', compression: 'none' });
  const client = sourceClient(hub, { chunkCache: false });
  await (await client.open({ repo: repository, path: 'original' })).arrayBuffer();
  // Another one has nothing of it in memory.
  const file = await sourceClient(hub, { chunkCache: false }).open({ repo: repository, path: 'original' });
  await spoilXorbs(hub);
  for (const [start, end] of ranges) {
    const outcome = await file.read(start, end).catch((error: unknown) => error);
    if (outcome instanceof Uint8Array) {
      expect(Buffer.from(outcome).equals(original.subarray(start, end)), `${start}–${end}`).toBe(true);
    } else {
      expect(outcome).toMatchObject({ code: 'INTEGRITY' });
    }
  }
});

test('streams no wrong range of such a file either', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original }, { xet: 'always', compression: 'none' });
  const client = sourceClient(hub, { chunkCache: false });
  await (await client.open({ repo: repository, path: 'original' })).arrayBuffer();
  const file = await sourceClient(hub, { chunkCache: false }).open({ repo: repository, path: 'original' });
  await spoilXorbs(hub);
  for (const [start, end] of ranges) {
    let at = start;
    const streaming = (async () => {
      for await (const bytes of file.slice(start, end).stream()) {
        expect(Buffer.from(bytes).equals(original.subarray(at, at + bytes.length)), `from ${at} on`).toBe(true);
        at += bytes.length;
      }
    })();
    expect(await rejectionOf(streaming)).toMatchObject({ code: 'INTEGRITY' });
  }
});

test('goes on giving what is here, when the server begins to lie', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original, variant }, { xet: 'always', compression: 'none' });
  const client = sourceClient(hub);
  const file = await client.open({ repo: repository, path: 'original' });
  await file.arrayBuffer();
  const localDir = await scratch();
  await spoilXorbs(hub);
  for (const [start, end] of ranges) {
    expect(Buffer.from(await file.read(start, end)).equals(original.subarray(start, end))).toBe(true);
  }
  const { bytes, localPath: path } = await client.downloadFile({ repo: repository, path: 'original', localDir });
  expect(bytes).toEqual({ network: 0, cache: original.length, local: 0 });
  expect(sha256(await readFile(path))).toBe(sha256(original));
  // What is new in the variant cannot be had.
  const refused = rejectionOf(client.downloadFile({ repo: repository, path: 'variant', localDir }));
  expect(await refused).toMatchObject({ code: 'INTEGRITY' });
});

test('has a resumed download finished by what is here', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original, variant }, { xet: 'always', chunksPerXorb: 7 });
  const client = sourceClient(hub);
  const localDir = await scratch();
  const stop = new AbortController();
  hub.faults.bytesPerSecond = 4_000_000;
  const cut = client.downloadFile({
    ...{ repo: repository, path: 'variant', localDir, signal: stop.signal },
    onProgress: ({ bytes }) => bytes.done > 500_000 && stop.abort('enough'),
  });
  expect(await rejectionOf(cut)).toBe('enough');
  hub.faults.clear();
  await client.downloadFile({ repo: repository, path: 'original', localDir });
  const {
    bytes,
    localPath: path,
    verified,
  } = await client.downloadFile({ repo: repository, path: 'variant', localDir });
  expect(sha256(await readFile(path))).toBe(sha256(variant));
  expect(verified).toBe('xet');
  expect(bytes.local).toBeGreaterThan(0);
  expect(bytes.local + bytes.cache).toBeLessThanOrEqual(variant.length);
  // Nothing that was here in whatever way came again.
  expect(bytes.network).toBeLessThan(variant.length - bytes.local - bytes.cache + 5000);
});

test('counts what came from here only if it is in the file: after corrupt data all of it comes over the network', async () => {
  const hub = await sourceHub();
  await hub.commitFiles(repository, { original }, { xet: 'always', compression: 'none' });
  await hub.commitFiles(repository, { variant }, { xet: 'always', compression: 'none' });
  const client = sourceClient(hub);
  const localDir = await scratch();
  await client.downloadFile({ repo: repository, path: 'original', localDir });
  const corrupt = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5000 });
  const { bytes, localPath: path } = await client.downloadFile({ repo: repository, path: 'variant', localDir });
  expect(corrupt.hits).toBe(1);
  expect(sha256(await readFile(path))).toBe(sha256(variant));
  expect(bytes.network).toBeGreaterThan(variant.length);
  expect(bytes).toMatchObject({ cache: 0, local: 0 });
});

test('a stream that was left in the middle is gone on with from what was kept of it', async () => {
  const hub = await sourceHub();
  const bytes = randomBytes(30_000_000, 7);
  await hub.commitFiles(repository, { long: bytes }, { xet: 'always', compression: 'none' });
  const dir = await scratch();
  const given = async (most: number) => {
    const client = sourceClient(hub, { chunkCache: { dir } });
    const file = await client.open({ repo: repository, path: 'long' });
    let read = 0;
    for await (const piece of file.stream()) {
      read += piece.length;
      if (read >= most) break;
    }
    await client.close();
    return { read, network: client.metrics().bytes.network };
  };
  const first = await given(20_000_000);
  const second = await given(bytes.length);
  expect(second.read).toBe(bytes.length);
  // What was on its way when the reader left may be lost.
  expect(second.network).toBeLessThan(bytes.length - first.read + 1_000_000);
});
