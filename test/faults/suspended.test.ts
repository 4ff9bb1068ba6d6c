import { mkdir, readFile, symlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { contentUnder, filesUnder, scratch, seen, sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { type Child, jsonLines, startCli, until } from './children.ts';
import { privateHub } from './harness.ts';
import { watchHygiene } from './hygiene.ts';

watchHygiene();

const MB = 1_000_000;
const REPO = 'owner/model';
const content = randomBytes(30 * MB, 71);

let hub: LocalHub;
beforeAll(async () => {
  hub = await privateHub(REPO, { 'big.bin': content }, { chunksPerXorb: 64 });
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.resetRequests();
  hub.faults.clear();
  hub.faults.bytesPerSecond = 2 * MB;
});

const sent = () => seen(hub, 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);

async function expectRight(child: Child): Promise<void> {
  const { code, stdout, stderr } = await child.ended;
  expect(code, stderr).toBe(0);
  const [result = {}] = jsonLines(stdout);
  expect(sha256(await readFile(String(result.localPath)))).toBe(sha256(content));
}

/** A folder of programs without any that locks files as Python does. */
async function pathWithoutLocks(): Promise<string> {
  const folder = join(await scratch(), 'bin');
  await mkdir(folder);
  await symlink(process.execPath, join(folder, 'node'));
  return folder;
}

/** With locks that Python's client knows, others wait for a suspended process; without, they go on without it. */
test.each([
  ['--cache-dir', true],
  ['--local-dir', true],
  ['--cache-dir', false],
] as const)(
  'a process that was suspended for over a minute publishes nothing wrong (%s, locks of the system: %s)',
  { timeout: 300_000 },
  async (where, hasFlock) => {
    const folder = await scratch();
    const env: Record<string, string> = hasFlock ? {} : { PATH: await pathWithoutLocks() };
    const args = ['download', REPO, 'big.bin', '--force', '--json', where, folder];
    const first = await startCli(hub, args, env);
    await until(() => sent() > 5 * MB, first);
    first.process.kill('SIGSTOP');
    const second = await startCli(hub, args, env);
    const isTaken = async () => {
      const locks = (await filesUnder(folder)).filter((name) => name.endsWith('-lock.incomplete'));
      const [lock] = await Promise.all(locks.map((name) => readFile(join(folder, name), 'utf8').catch(() => '')));
      return lock?.includes(`"pid":${second.process.pid},`) === true;
    };
    while (!(await isTaken())) await new Promise((resolve) => setTimeout(resolve, 100));
    hub.faults.bytesPerSecond = 50 * MB;
    if (!hasFlock) await expectRight(second);
    first.process.kill('SIGCONT');
    await Promise.all([expectRight(first), expectRight(second)]);
    expect((await contentUnder(folder)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  },
);

test.each([-300, 300])('a lock whose time is %i s off, as other clocks have it, is waited for', async (skewSeconds) => {
  const folder = await scratch();
  const env = { PATH: await pathWithoutLocks() };
  const args = ['download', REPO, 'big.bin', '--json', '--cache-dir', folder];
  const first = await startCli(hub, args, env);
  await until(() => sent() > 2 * MB, first);
  const lock = (await filesUnder(folder)).find((name) => name.endsWith('-lock.incomplete')) ?? '';
  const touch = async () => {
    const skewed = new Date(Date.now() + skewSeconds * 1000);
    await utimes(join(folder, lock), skewed, skewed).catch(() => undefined);
  };
  await touch();
  const skewing = setInterval(() => void touch(), 20);
  try {
    const second = await startCli(hub, [...args, '--force'], env);
    await until(() => seen(hub, 'resolve').length >= 2, second);
    await touch();
    expect(dirname(lock)).toContain('blobs');
    hub.faults.bytesPerSecond = 30 * MB;
    await Promise.all([expectRight(first), expectRight(second)]);
  } finally {
    clearInterval(skewing);
  }
});
