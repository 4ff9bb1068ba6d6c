import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
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

const download = (disk: SmallDisk, where: 'cacheDir' | 'localDir', xet = true) =>
  attempt(hub, { xet, ...(where === 'cacheDir' && { cacheDir: disk.path }) }, (client) =>
    client.downloadFile({ repo: REPO, path: PATH, ...(where === 'localDir' && { localDir: disk.path }) }),
  );

const named = async (folder: string) => (await contentUnder(folder)).filter((name) => name.endsWith(PATH));

describe.each(['cacheDir', 'localDir'] as const)('in a %s', (where) => {
  test.each([true, false])(
    'a full disk is told, and what is there is used once there is room (Xet: %s)',
    async (xet) => {
      const disk = await smallDisk(5 * MIB);
      const full = await download(disk, where, xet);
      expect(full.error, told(full)).toMatchObject({ name: 'XetError', code: 'DISK_FULL' });
      expect(String(full.error)).toMatch(/free some space/i);
      expect(await named(disk.path)).toEqual([]);
      await expectNoSecretsIn(disk.path);

      await disk.remount(`size=${32 * MIB}`);
      hub.resetRequests();
      const resumed = await download(disk, where, xet);
      expect(resumed.error, told(resumed)).toBeUndefined();
      expect(sha256(await readFile(resumed.value!.localPath))).toBe(sha256(content));
      expect(resumed.value!.bytes.local, 'what was fetched before the disk was full').toBeGreaterThan(3 * MIB);
      expect(sent()).toBeLessThan(content.length - 3 * MIB);
      expect((await contentUnder(disk.path)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
    },
  );

  test('a disk without a free byte is told as well', async () => {
    const disk = await smallDisk(16 * 1024);
    const full = await download(disk, where);
    expect(full.error, told(full)).toMatchObject({ name: 'XetError', code: 'DISK_FULL' });
    expect(await named(disk.path)).toEqual([]);
  });

  test('a read-only file system is told, from the start and in the middle', async () => {
    const disk = await smallDisk(5 * MIB);
    await disk.remount('ro');
    const none = await download(disk, where);
    expect(none.error, told(none)).toMatchObject({ name: 'XetError', code: 'PERMISSION' });
    expect(await contentUnder(disk.path)).toEqual([]);

    await disk.remount('rw');
    expect((await download(disk, where)).error).toMatchObject({ code: 'DISK_FULL' });
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
  expect(stderr.trim().split('\n').at(-1)).toMatch(/^xetkit: The disk is full: free some space/);
  await disk.remount(`size=${32 * MIB}`);
  const again = await (await startCli(hub, args)).ended;
  expect(again.code, again.stderr).toBe(0);
  expect(sha256(await readFile(join(disk.path, PATH)))).toBe(sha256(content));
});
