import { mkdir, readdir, readFile, rename, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { acquireLock, type HeldLock, isLockHeld, type LockTiming, Silence } from '../../src/fs/lock.node.ts';
import { ownMark } from '../../src/fs/process-mark.node.ts';
import { scratch } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';

/** A holder with this one is as silent as a suspended process. */
const SUSPENDED: LockTiming = { pollMs: 5, heartbeatMs: 1e9, silentMs: 40 };
const PATIENT: LockTiming = { pollMs: 5, heartbeatMs: 1e9, silentMs: 1e9 };

const lockIn = async () => join(await scratch(), 'blob.xetkit-lock.incomplete');

function take(path: string, timing = SUSPENDED, onWait = () => {}): Promise<HeldLock> {
  return acquireLock(path, { signal: new AbortController().signal, onWait, timing });
}

/** Resolves when somebody who wants the lock waits for it, and fails if it is given. */
async function expectToWait(path: string): Promise<void> {
  const stop = new AbortController();
  const waits = new Promise<void>((resolve, reject) => {
    acquireLock(path, { signal: stop.signal, onWait: resolve, timing: PATIENT }).then(
      () => reject(new Error('The lock was given to two.')),
      reject,
    );
  });
  await waits;
  stop.abort();
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2));
}

test.each([
  ['an hour back', -3_600_000],
  ['an hour ahead', 3_600_000],
  ['in 1970', -Date.now()],
])('a lock that was touched by a clock %s is not taken away', async (_what, skewMs) => {
  const path = await lockIn();
  const held = await take(path, PATIENT);
  const skewed = new Date(Date.now() + skewMs);
  await utimes(path, skewed, skewed);
  await expectToWait(path);
  expect(await held.isOurs()).toBe(true);
  await held.release();
});

test('silence counts from the first look, starts anew with each change, and leaves out gaps between looks', () => {
  const silence = new Silence(1000);
  expect(silence.of('a', 5_000_000)).toBe(0);
  expect(silence.of('a', 5_000_400)).toBe(400);
  expect(silence.of('a', 5_001_000)).toBe(1000);
  // The watcher was suspended for an hour.
  expect(silence.of('a', 8_600_000)).toBe(2000);
  expect(silence.of('b', 8_600_100)).toBe(0);
  expect(silence.of('b', 8_600_200)).toBe(100);
  expect(silence.of('a', 8_600_300)).toBe(0);
});

test('a silent holder loses its lock, knows it, and leaves the lock of its successor alone', async () => {
  const path = await lockIn();
  const first = await take(path);
  const second = await take(path);
  expect([await first.isOurs(), await second.isOurs()]).toEqual([false, true]);
  await first.release();
  expect(await second.isOurs()).toBe(true);
  await expectToWait(path);
  await second.release();
  expect(await readdir(join(path, '..'))).toEqual([]);
});

test('a heartbeat goes on after one that failed', async () => {
  const path = await lockIn();
  const held = await take(path, { ...PATIENT, heartbeatMs: 3 });
  await rename(path, `${path}.away`);
  expect(await held.isOurs()).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await rename(`${path}.away`, path);
  const { mtimeMs } = await stat(path);
  await until(async () => (await stat(path)).mtimeMs !== mtimeMs);
  expect(await held.isOurs()).toBe(true);
  await held.release();
});

test('many that take over one lock at the same moment all have their turn', async () => {
  const path = await lockIn();
  await take(path);
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      // Who took the lock from somebody in the same moment may miss it at once, and starts again.
      for (let isDone = false; !isDone; ) {
        const held = await take(path, { ...SUSPENDED, heartbeatMs: 5, silentMs: 400 });
        if (await held.isOurs()) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          isDone = await held.isOurs();
        }
        await held.release();
      }
    }),
  );
});

test('a lock that says nothing, or nonsense, is waited for and then removed', async () => {
  for (const content of ['', 'x', '{"pid":', '{"pid":"1","host":2}', '{"pid":-1,"host":""}', 'null']) {
    const path = await lockIn();
    await writeFile(path, content);
    expect(await isLockHeld(path)).toBeUndefined();
    await expectToWait(path);
    await (await take(path)).release();
  }
});

test('a link in place of a lock is neither followed nor written through', async () => {
  const path = await lockIn();
  const canary = join(await scratch(), 'canary');
  await writeFile(canary, JSON.stringify({ ...(await ownMark()), pid: 2 ** 30 }));
  const before = await stat(canary, { bigint: true });
  await symlink(canary, path);
  await expectToWait(path);
  const held = await take(path);
  await held.release();
  expect((await stat(canary, { bigint: true })).mtimeNs).toBe(before.mtimeNs);
  expect(JSON.parse(await readFile(canary, 'utf8'))).toMatchObject({ pid: 2 ** 30 });
});

test('a folder in place of a lock is an error at once', async () => {
  const path = await lockIn();
  await mkdir(path);
  expect(await rejectionOf(take(path))).toMatchObject({ code: 'EISDIR' });
});

test('whether a lock is held is known of this machine, and unknown of others', async () => {
  const path = await lockIn();
  expect(await isLockHeld(path)).toBe(false);
  const held = await take(path, PATIENT);
  expect(await isLockHeld(path)).toBe(true);
  await held.release();
  const mark = await ownMark();
  const written = [
    [{ ...mark, pid: 2 ** 30 }, false],
    [{ ...mark, machine: 'elsewhere', pid: 2 ** 30 }, undefined],
    // What earlier versions wrote: equal names of hosts say nothing.
    [{ pid: 2 ** 30, host: mark.host }, undefined],
  ] as const;
  for (const [content, isHeld] of written) {
    await writeFile(path, JSON.stringify(content));
    expect(await isLockHeld(path)).toBe(isHeld);
  }
});

test('a lock that cannot be written leaves nothing behind', async () => {
  const path = join(await lockIn(), 'in', 'no', 'folder');
  expect(await rejectionOf(take(path))).toMatchObject({ code: 'ENOENT' });
});
