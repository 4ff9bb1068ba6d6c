import { type ChildProcess, spawn } from 'node:child_process';
import { access, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { HubCache } from '../../../src/files/disk/hub-cache.node.ts';
import { acquirePythonLock, isPythonLockHeld, LOCK_WORTH_BYTES } from '../../../src/files/disk/python-lock.node.ts';
import { scratch } from '../../support/hub.ts';
import { fileOf, fill, KnownHere, quiet, REPO, sha256Of } from '../../support/stores.ts';

// Only looked at: children are real ones.
vi.mock('node:child_process', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:child_process')>();
  return { ...original, spawn: vi.fn(original.spawn) };
});

const options = { signal: new AbortController().signal, onWait: () => undefined };

/** Whether a program is there. */
async function has(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, program)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

const hasPerl = await has('perl');
const canLock = process.platform !== 'win32' && (hasPerl || (await has('flock')));

/** A process that has a flock until it ends. */
async function holder(path: string): Promise<ChildProcess> {
  const script =
    'use Fcntl ":flock"; $| = 1; open(my $f, ">>", $ARGV[0]) or die; flock($f, LOCK_EX) or die; print "held"; sleep 60';
  const child = spawn('perl', ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return child;
}

describe.skipIf(!canLock)('a lock that Python respects', () => {
  test('keeps the others out until it is released, and stays as a file', async () => {
    const path = join(await scratch(), '.locks', 'models--a--b', 'x.lock');
    expect(await isPythonLockHeld(path)).toBe(false);
    const lock = await acquirePythonLock(path, options);
    expect(lock).toBeDefined();
    expect((await stat(path)).mode & 0o777).toBe(0o664);
    expect(await isPythonLockHeld(path)).toBe(true);
    let got = false;
    const onWait = vi.fn();
    const second = acquirePythonLock(path, { ...options, onWait }).then((other) => {
      got = true;
      return other;
    });
    await vi.waitFor(() => expect(onWait).toHaveBeenCalledTimes(1));
    expect(got).toBe(false);
    await lock?.release();
    await (await second)?.release();
    expect(onWait).toHaveBeenCalledTimes(1);
    expect(await isPythonLockHeld(path)).toBe(false);
    expect((await stat(path)).size).toBe(0);
  });

  test.skipIf(!hasPerl)('is waited for while another process has it, also one that is killed', async () => {
    const path = join(await scratch(), 'x.lock');
    const child = await holder(path);
    expect(await isPythonLockHeld(path)).toBe(true);
    const onWait = vi.fn(() => void child.kill('SIGKILL'));
    const lock = await acquirePythonLock(path, { ...options, onWait });
    expect(onWait).toHaveBeenCalledTimes(1);
    await lock?.release();
  });

  test.skipIf(!hasPerl)('waiting ends at once when it is no longer wanted', async () => {
    const path = join(await scratch(), 'x.lock');
    await holder(path);
    const stop = new AbortController();
    vi.mocked(spawn).mockClear();
    const waiting = acquirePythonLock(path, { signal: stop.signal, onWait: () => undefined });
    const refused = expect(waiting).rejects.toThrow('enough');
    // The first child finds the lock taken, the second one waits for it.
    await vi.waitFor(() => expect(spawn).toHaveBeenCalledTimes(2));
    stop.abort(new Error('enough'));
    await refused;
    // It did not end by itself, as it does after 20 seconds, and nobody was waited for: the lock is still taken.
    const child = vi.mocked(spawn).mock.results[1]?.value as ChildProcess;
    expect(child.signalCode).toBe('SIGKILL');
    expect(await isPythonLockHeld(path)).toBe(true);
  });

  test('a file that was removed meanwhile keeps nobody out, so it is not taken for a lock', async () => {
    const path = join(await scratch(), 'x.lock');
    const first = await acquirePythonLock(path, options);
    const onWait = vi.fn();
    const second = acquirePythonLock(path, { ...options, onWait });
    await vi.waitFor(() => expect(onWait).toHaveBeenCalled());
    await rm(path);
    const third = await acquirePythonLock(path, options);
    await first?.release();
    let got = false;
    void second.then(() => {
      got = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(got).toBe(false);
    await third?.release();
    await (await second)?.release();
  });

  test('a large file is written under it, a small one is not', async () => {
    const at = await scratch();
    const cache = new HubCache(at, new KnownHere());
    const large = new Uint8Array(LOCK_WORTH_BYTES);
    const lock = join(at, '.locks', 'models--owner--model', `${sha256Of(large)}.lock`);
    const sink = await cache.place(fileOf('large', large), 'main').openSink(quiet);
    expect(await isPythonLockHeld(lock)).toBe(true);
    await sink.close();
    expect(await isPythonLockHeld(lock)).toBe(false);

    const small = large.subarray(1);
    await fill(cache.place(fileOf('small', small), 'main'), small);
    await expect(stat(join(at, '.locks', 'models--owner--model', `${sha256Of(small)}.lock`))).rejects.toThrow();
  });

  test.skipIf(!hasPerl)('who waited looks again at what is there', async () => {
    const at = await scratch();
    const large = new Uint8Array(LOCK_WORTH_BYTES);
    const repo = join(at, 'models--owner--model');
    await mkdir(join(at, '.locks', 'models--owner--model'), { recursive: true });
    const child = await holder(join(at, '.locks', 'models--owner--model', `${sha256Of(large)}.lock`));
    const place = new HubCache(at, new KnownHere()).place(fileOf('large', large), 'main');
    const onWait = vi.fn(() => {
      void writeFile(join(repo, 'blobs', sha256Of(large)), large).then(() => child.kill());
    });
    expect((await fill(place, large, onWait)).wrote).toBe(false);
    expect(onWait).toHaveBeenCalledTimes(1);
  });

  test('is left away where it cannot be had', async () => {
    const at = await scratch();
    await writeFile(join(at, 'file'), '');
    expect(await acquirePythonLock(join(at, 'file', 'x.lock'), options)).toBeUndefined();
    await mkdir(join(at, 'x.lock'));
    expect(await acquirePythonLock(join(at, 'x.lock'), options)).toBeUndefined();
    expect(await isPythonLockHeld(join(at, 'x.lock'))).toBeUndefined();
    // A file in the way of the locks is not in the way of a download.
    await writeFile(join(at, '.locks'), '');
    const large = new Uint8Array(LOCK_WORTH_BYTES);
    const { path } = await fill(new HubCache(at, new KnownHere()).place(fileOf('a', large), 'main'), large);
    expect((await readFile(path)).length).toBe(large.length);
  });
});

test('where no program can take such locks, files are written without', async () => {
  vi.stubEnv('PATH', '/nonexistent');
  vi.resetModules();
  onTestFinished(() => void vi.unstubAllEnvs());
  const { HubCache: Fresh } = await import('../../../src/files/disk/hub-cache.node.ts');
  const { acquirePythonLock: acquire } = await import('../../../src/files/disk/python-lock.node.ts');
  const at = await scratch();
  expect(await acquire(join(at, 'x.lock'), options)).toBeUndefined();
  const large = new Uint8Array(LOCK_WORTH_BYTES);
  const cache = new Fresh(at, new KnownHere());
  expect((await fill(cache.place(fileOf('a', large), 'main'), large)).wrote).toBe(true);
  expect(await cache.commitOf(REPO, 'main')).toHaveLength(40);
});
