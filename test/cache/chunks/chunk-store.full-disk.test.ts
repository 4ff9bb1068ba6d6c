import { execFile } from 'node:child_process';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { openFolderChunkStore } from '../../../src/cache/chunks/chunk-store.node.ts';
import type { ChunkStore } from '../../../src/cache/chunks/chunk-store.ts';
import { isXetError } from '../../../src/core/errors.ts';
import { smallDisk } from '../../faults/mount.ts';
import { SampleXorbs, sampleHash } from '../../support/chunk-samples.ts';
import { bytesIn, filesIn } from '../../support/folder.ts';

const KB = 1024;
const xorbs = new SampleXorbs(20 * KB, 20 * KB);
const put = (store: ChunkStore, xorb: number) => store.put(xorbs.name(xorb), xorbs.run(xorb, { start: 0, end: 4 }));

/** Xorbs of these that can be read, and are right. */
async function readable(store: ChunkStore, count: number): Promise<number[]> {
  const good: number[] = [];
  for (let xorb = 0; xorb < count; xorb++) {
    const run = await store.read(xorbs.name(xorb), { start: 0, end: 4 });
    if (!run) continue;
    expect(xorbs.wrongIn(xorb, run)).toBeUndefined();
    good.push(xorb);
  }
  return good;
}

/** A disk of a few megabytes takes a mount, which not everyone may do. */
async function mayMount(): Promise<boolean> {
  const path = await mkdtemp(join(tmpdir(), 'xetkit-mount-'));
  const run = promisify(execFile);
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'xetkit-test', path]);
    await run('umount', [path]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(path, { recursive: true });
  }
}

describe.skipIf(!(await mayMount()))('a disk that is not what it was', () => {
  test('full by the cache itself: old entries make way once, then there is a pause', async () => {
    const disk = await smallDisk(1024 * KB);
    const store = openFolderChunkStore(join(disk.path, 'chunks'), { maxBytes: 100 * KB * KB, hash: sampleHash });
    for (let xorb = 0; xorb < 40; xorb++) await put(store, xorb);
    const good = await readable(store, 40);
    expect(good.length).toBeGreaterThan(6);
    // Nothing half-written is left, and not all was given up.
    expect(await filesIn(join(disk.path, 'chunks', 'v1', 'writing'))).toEqual([]);
    expect(await bytesIn(disk.path)).toBeGreaterThan(500 * KB);
    await store.close();
  });

  test('full by others: a little makes way, and no more with every put', async () => {
    const disk = await smallDisk(2048 * KB);
    const store = openFolderChunkStore(disk.path, { maxBytes: 100 * KB * KB, hash: sampleHash });
    for (let xorb = 0; xorb < 15; xorb++) await put(store, xorb);
    const { bavail, bsize } = await statfs(disk.path);
    await writeFile(join(disk.path, 'download'), new Uint8Array(bavail * bsize));
    for (let xorb = 15; xorb < 30; xorb++) {
      await put(store, xorb);
      // The download takes what was made free.
      const { bavail: left } = await statfs(disk.path);
      await writeFile(join(disk.path, `more-${xorb}`), new Uint8Array(left * bsize));
    }
    expect((await readable(store, 30)).length).toBeGreaterThan(5);
    await store.close();
  });

  test('read-only: what is there is read, nothing is thrown, and only clearing says so', async () => {
    const disk = await smallDisk(2048 * KB);
    const folder = join(disk.path, 'chunks');
    const before = openFolderChunkStore(folder, { maxBytes: 100 * KB * KB, hash: sampleHash });
    for (let xorb = 0; xorb < 5; xorb++) await put(before, xorb);
    const [damaged] = (await filesIn(folder)).filter((path) => path.includes(xorbs.name(2)));
    await writeFile(damaged!, 'damaged');
    await disk.remount('ro');
    const store = openFolderChunkStore(folder, { maxBytes: 100 * KB * KB, hash: sampleHash });
    for (let xorb = 5; xorb < 12; xorb++) await put(store, xorb);
    expect(await readable(store, 12)).toEqual([0, 1, 3, 4]);
    expect((await store.usage()).entries).toBe(5);
    const full = openFolderChunkStore(folder, { maxBytes: 200 * KB, hash: sampleHash });
    for (let xorb = 5; xorb < 12; xorb++) await put(full, xorb);
    expect(await readable(full, 12)).toEqual([0, 1, 3, 4]);
    for (const step of [() => store.clear(), () => store.prune(0)]) {
      const error = await step().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(isXetError(error, 'PERMISSION'), String(error)).toBe(true);
    }
    await disk.remount('rw');
    await store.clear();
    expect(await readable(store, 12)).toEqual([]);
  });
});
