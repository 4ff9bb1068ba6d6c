import { closeSync, openSync, statfsSync, writeSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { contentUnder, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { startCli } from './children.ts';
import { attempt, privateHub, told } from './harness.ts';
import { expectNoSecretsIn, watchHygiene } from './hygiene.ts';
import { type SmallDisk, smallDisk } from './mount.ts';

watchHygiene();

const MIB = 1024 * 1024;
const REPO = 'owner/model';
const PATH = 'weights.bin';
const content = randomBytes(12 * MIB, 61);

let hub: LocalHub;
beforeAll(async () => {
  hub = await privateHub(REPO, { [PATH]: content }, { chunksPerXorb: 16 });
});
afterAll(() => hub.close());
beforeEach(() => hub.resetRequests());

const sent = () => [...seen(hub, 'xorb'), ...seen(hub, 'bridge')].reduce((sum, { bytesSent }) => sum + bytesSent, 0);

type Where = 'cacheDir' | 'localDir';

const download = (disk: SmallDisk, where: Where, xet = true, fetchOption?: typeof fetch) =>
  attempt(hub, { xet, fetch: fetchOption, ...(where === 'cacheDir' && { cacheDir: disk.path }) }, (client) =>
    client.downloadFile({ repo: REPO, path: PATH, ...(where === 'localDir' && { localDir: disk.path }) }),
  );

/**
 * A `fetch` that stops in the middle of the content until so many bytes have reached the disk, however slow the machine, and
 * goes on once another program has filled it.
 */
function fillingMeanwhile(disk: SmallDisk, writtenBytes: number): typeof fetch {
  let passed = 0;
  let isFilled = false;
  return async (...args) => {
    const response = await fetch(...args);
    const counting = new TransformStream<Uint8Array, Uint8Array>({
      async transform(bytes, controller) {
        passed += bytes.length;
        // More than has to be written: of several answers at once each waits for its end.
        if (passed >= writtenBytes + 3 * MIB && !isFilled) {
          isFilled = true;
          await vi.waitFor(() => expect(usedBytes(disk)).toBeGreaterThan(writtenBytes), { timeout: 50_000 });
          fillUp(join(disk.path, 'other.bin'));
        }
        controller.enqueue(bytes);
      },
    });
    return new Response(response.body?.pipeThrough(counting) ?? null, response);
  };
}

function usedBytes(disk: SmallDisk): number {
  const { blocks, bfree, bsize } = statfsSync(disk.path);
  return (blocks - bfree) * bsize;
}

function fillUp(path: string): void {
  const { bavail, bsize } = statfsSync(dirname(path));
  const file = openSync(path, 'w');
  try {
    for (let left = bavail; left > 0; left--) writeSync(file, Buffer.alloc(bsize));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}

/** Downloads until another program has filled the disk, which must then have room for what follows. */
async function untilFull(disk: SmallDisk, where: Where, xet = true) {
  await disk.remount(`size=${14 * MIB}`);
  const full = await download(disk, where, xet, fillingMeanwhile(disk, 5 * MIB));
  await rm(join(disk.path, 'other.bin'));
  return full;
}

const named = async (folder: string) => (await contentUnder(folder)).filter((name) => name.endsWith(PATH));

describe.each(['cacheDir', 'localDir'] as const)('in a %s', (where) => {
  test.each([true, false])(
    'a disk that another program fills is reported, and the next try uses what was fetched (Xet: %s)',
    async (xet) => {
      const disk = await smallDisk(14 * MIB);
      const full = await untilFull(disk, where, xet);
      expect(full.error, told(full)).toMatchObject({ name: 'XetError', code: 'DISK_FULL' });
      expect(String(full.error)).toMatch(/free some space/i);
      expect(await named(disk.path)).toEqual([]);
      await expectNoSecretsIn(disk.path);

      // Room for what is missing, and not for the whole file once more.
      hub.resetRequests();
      const resumed = await download(disk, where, xet);
      expect(resumed.error, told(resumed)).toBeUndefined();
      expect(sha256(await readFile(resumed.value!.localPath))).toBe(sha256(content));
      expect(resumed.value!.bytes.local, 'what was fetched before the disk was full').toBeGreaterThan(3 * MIB);
      expect(sent()).toBeLessThan(content.length - 3 * MIB);
      expect((await contentUnder(disk.path)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
    },
  );

  test.each([true, false])('too little space is reported before any content is fetched (Xet: %s)', async (xet) => {
    const disk = await smallDisk(5 * MIB);
    const full = await download(disk, where, xet);
    expect(full.error, told(full)).toMatchObject({ name: 'XetError', code: 'DISK_FULL' });
    expect(String(full.error)).toMatch(/12\.6 MB are needed and 5\.\d+ MB are free/);
    expect(sent()).toBe(0);
    expect((await contentUnder(disk.path)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  test('too little space for a snapshot is reported before any content is fetched', async () => {
    const several = 'owner/several';
    const parts = [randomBytes(3 * MIB, 62), randomBytes(3 * MIB, 63), randomBytes(3 * MIB, 64)];
    await hub.commitFiles(several, { 'a.bin': parts[0]!, 'b.bin': parts[1]!, 'c.bin': parts[2]!, 'd.bin': parts[0]! });
    const disk = await smallDisk(8 * MIB);
    const snapshot = () =>
      attempt(hub, { ...(where === 'cacheDir' && { cacheDir: disk.path }) }, (client) =>
        client.snapshot({ repo: several, ...(where === 'localDir' && { localDir: disk.path }) }),
      );
    const full = await snapshot();
    expect(full.error, told(full)).toMatchObject({ name: 'XetError', code: 'DISK_FULL' });
    expect(String(full.error)).toMatch(/9\.44 MB are needed/);
    expect(sent()).toBe(0);

    await disk.remount(`size=${14 * MIB}`);
    expect((await snapshot()).error).toBeUndefined();
    // All of it is there: a commit with another small file needs no room for the rest.
    await disk.remount(`size=${13 * MIB}`);
    await hub.commitFiles(several, { 'config.json': new TextEncoder().encode('{}') });
    const again = await snapshot();
    expect(again.error, told(again)).toBeUndefined();
  });

  test('a disk without a free byte is reported', async () => {
    const disk = await smallDisk(16 * 1024);
    const full = await download(disk, where);
    expect(full.error, told(full)).toMatchObject({ name: 'XetError', code: 'DISK_FULL' });
    expect(await named(disk.path)).toEqual([]);
  });

  test('a read-only file system is reported, from the start and in the middle', async () => {
    const disk = await smallDisk(14 * MIB);
    await disk.remount('ro');
    const none = await download(disk, where);
    expect(none.error, told(none)).toMatchObject({ name: 'XetError', code: 'PERMISSION' });
    expect(await contentUnder(disk.path)).toEqual([]);

    await disk.remount('rw');
    expect((await untilFull(disk, where)).error).toMatchObject({ code: 'DISK_FULL' });
    await disk.remount('ro');
    const left = await contentUnder(disk.path);
    expect((await download(disk, where)).error).toMatchObject({ code: 'PERMISSION' });
    expect(await contentUnder(disk.path), 'the partial state is still there').toEqual(left);
    expect(left.some((name) => name.endsWith('.xetkit.incomplete'))).toBe(true);
  });
});

test('the command says in one line what to do', async () => {
  const disk = await smallDisk(5 * MIB);
  const args = ['download', REPO, PATH, '--local-dir', disk.path];
  const { code, stdout, stderr } = await (await startCli(hub, args)).ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr.trim().split('\n').at(-1)).toMatch(/^xetkit: There is too little space in .* Free some space/);
  await disk.remount(`size=${32 * MIB}`);
  const again = await (await startCli(hub, args)).ended;
  expect(again.code, again.stderr).toBe(0);
  expect(sha256(await readFile(join(disk.path, PATH)))).toBe(sha256(content));
});
