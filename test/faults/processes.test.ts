import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { contentUnder, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { type Ended, jsonLines, startCli, until } from './children.ts';
import { privateHub } from './harness.ts';
import { watchHygiene } from './hygiene.ts';

watchHygiene();

const MB = 1_000_000;
const REPO = 'owner/model';
const files: Record<string, Uint8Array> = { 'a.bin': randomBytes(20 * MB, 51), 'b.bin': randomBytes(8 * MB, 52) };

let hub: LocalHub;
beforeAll(async () => {
  hub = await privateHub(REPO, files, { chunksPerXorb: 64 });
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.resetRequests();
  hub.faults.clear();
  // Slow enough that all of them meet.
  hub.faults.bytesPerSecond = 20 * MB;
});

const sent = () => seen(hub, 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);

async function expectRight({ code, stdout, stderr }: Ended, path: string): Promise<void> {
  expect(code, stderr).toBe(0);
  const result = jsonLines(stdout).find((row) => row.path === path);
  expect(sha256(await readFile(String(result?.localPath)))).toBe(sha256(files[path]!));
}

test.each([
  [2, '--cache-dir'],
  [8, '--cache-dir'],
  [2, '--local-dir'],
  [8, '--local-dir'],
] as const)('%i processes fetch the same file into the same folder (%s), once', async (count, where) => {
  const folder = await scratch();
  const args = ['download', REPO, 'a.bin', '--json', where, folder];
  const children = await Promise.all(Array.from({ length: count }, () => startCli(hub, args)));
  for (const child of children) await expectRight(await child.ended, 'a.bin');
  expect(sent() / files['a.bin']!.length, 'bytes over the network').toBeLessThan(1.1);
  expect((await contentUnder(folder)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
});

test('two processes fetch different files into the same cache', async () => {
  const folder = await scratch();
  const paths = Object.keys(files);
  const children = await Promise.all(
    paths.map((path) => startCli(hub, ['download', REPO, path, '--json', '--cache-dir', folder])),
  );
  for (const [index, child] of children.entries()) await expectRight(await child.ended, paths[index]!);
});

test('whole repositories at once share the work', async () => {
  const folder = await scratch();
  const children = await Promise.all(
    Array.from({ length: 3 }, () => startCli(hub, ['download', REPO, '--json', '--cache-dir', folder])),
  );
  for (const child of children) {
    const ended = await child.ended;
    for (const path of Object.keys(files)) await expectRight(ended, path);
  }
  const size = Object.values(files).reduce((sum, { length }) => sum + length, 0);
  expect(sent() / size).toBeLessThan(1.1);
});

test('when the one that has the lock is killed, another goes on from what it left', async () => {
  const folder = await scratch();
  hub.faults.bytesPerSecond = 2 * MB;
  const args = ['download', REPO, 'a.bin', '--json', '--cache-dir', folder];
  const first = await startCli(hub, args);
  await until(() => sent() > 5 * MB, first);
  const others = await Promise.all(Array.from({ length: 3 }, () => startCli(hub, args)));
  await until(() => sent() > 10 * MB, first);
  first.process.kill('SIGKILL');
  expect((await first.ended).signal).toBe('SIGKILL');
  for (const child of others) await expectRight(await child.ended, 'a.bin');
  // What was under way on each of its five connections went with it.
  expect(sent()).toBeLessThan(files['a.bin']!.length * 1.1 + 5 * 0.5 * MB);
  expect((await contentUnder(folder)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
});

test('a process that waits can be interrupted, and harms nobody', async () => {
  const folder = await scratch();
  const args = ['download', REPO, 'a.bin', '--json', '--cache-dir', folder];
  hub.faults.bytesPerSecond = MB / 2;
  const first = await startCli(hub, args);
  await until(() => sent() > MB, first);
  const second = await startCli(hub, args);
  // The second has asked what the file is, and waits from then on.
  await until(() => seen(hub, 'resolve').length >= 2, second);
  await new Promise((resolve) => setTimeout(resolve, 300));
  second.process.kill('SIGINT');
  expect((await second.ended).code).toBe(130);
  await expectRight(await first.ended, 'a.bin');
});
