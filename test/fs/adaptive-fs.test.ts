import * as ordinary from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type AdaptiveFs, adaptiveFs, LatencyAverage } from '../../src/fs/adaptive-fs.node.ts';
import { scratch } from '../support/hub.ts';

const fast = { isSlow: false, took: () => undefined };

/** What a step gives, or how it fails: as those who use it see it. */
async function outcome(step: () => Promise<unknown>): Promise<unknown> {
  try {
    return { gives: await step() };
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    return { fails: code, in: syscall };
  }
}

/** Every call that is replaced, where it succeeds and where it does not. */
async function everything(disk: AdaptiveFs, folder: string): Promise<unknown[]> {
  const at = (name: string) => join(folder, name);
  const steps: (() => Promise<unknown>)[] = [
    () => disk.mkdir(at('a/b'), { recursive: true }).then(() => 'made'),
    () => disk.mkdir(at('a')),
    () => disk.mkdir(at('none/deeper')),
    () => disk.writeFile(at('a/one'), 'eins', { flag: 'wx' }),
    () => disk.writeFile(at('a/one'), 'zwei', { flag: 'wx' }),
    () => disk.readFile(at('a/one'), 'utf8'),
    async () => [...(await disk.readFile(at('a/one')))],
    () => disk.readFile(at('a'), 'utf8'),
    () => disk.readFile(at('none'), 'utf8'),
    () => disk.symlink('one', at('a/link')),
    () => disk.symlink('one', at('a/link')),
    () => disk.readlink(at('a/link')),
    () => disk.readlink(at('a/one')),
    async () => (await disk.realpath(at('a/link'))).slice(folder.length),
    () => disk.realpath(at('a/none')),
    async () => (await disk.stat(at('a/link'))).size,
    async () => (await disk.stat(at('a/link'), { bigint: true })).size,
    async () => (await disk.lstat(at('a/link'))).isSymbolicLink(),
    () => disk.stat(at('a/none')),
    () => disk.lstat(at('a/none')),
    () => disk.access(at('a/one')),
    () => disk.access(at('a/none')),
    () => disk.utimes(at('a/one'), 1, 2.5),
    async () => (await disk.stat(at('a/one'))).mtimeMs,
    () => disk.chmod(at('a/one'), 0o640),
    async () => (await disk.stat(at('a/one'))).mode & 0o777,
    async () => (await disk.readdir(at('a'))).sort(),
    () => disk.readdir(at('none')),
    () => disk.rename(at('a/one'), at('a/b/one')),
    () => disk.rename(at('a/one'), at('a/b/one')),
    () => disk.rmdir(at('a/b')),
    () => disk.rm(at('a/none')),
    () => disk.rm(at('a/none'), { force: true }),
    () => disk.open(at('none/file'), 'wx'),
    async () => {
      const file = await disk.open(at('file'), 'wx+');
      try {
        const { bytesWritten } = await file.write(Uint8Array.of(1, 2, 3, 4, 5), 1, 3, 2);
        await file.truncate(4);
        const bytes = new Uint8Array(8);
        const { bytesRead } = await file.read(bytes, 1, 6, 1);
        await file.chmod(0o600);
        await file.sync();
        const { size, mode } = await file.stat();
        return [bytesWritten, bytesRead, [...bytes], size, mode & 0o777];
      } finally {
        await file.close();
      }
    },
    async () => {
      const file = await disk.open(at('file'), 'a');
      await file.writeFile('text');
      await file.close();
      const again = await disk.open(at('file'), 'r');
      const content = await again.readFile();
      await again.close();
      return [...content];
    },
    () => disk.rm(at('a'), { recursive: true, force: true }),
    async () => (await disk.readdir(folder)).sort(),
  ];
  const outcomes: unknown[] = [];
  for (const step of steps) outcomes.push(await outcome(step));
  return outcomes;
}

test('it gives what the ordinary one gives, and fails as that does', async () => {
  const expected = await everything(ordinary, await scratch());
  expect(await everything(adaptiveFs(fast), await scratch())).toEqual(expected);
  // Most of them succeed, or it would be the same whatever it did.
  expect(expected.filter((one) => 'gives' in (one as object)).length).toBeGreaterThan(20);
});

describe('a disk that takes its time', () => {
  test('is asked for several things at once', async () => {
    const folder = await scratch();
    const disk = adaptiveFs({ isSlow: true, took: () => expect.unreachable('nothing is waited for') });
    expect(await everything(disk, folder)).toEqual(await everything(ordinary, await scratch()));
  });

  test('is known by the time that calls took, and looked at again later', () => {
    const pace = new LatencyAverage();
    // One that had to wait does not make a disk slow.
    pace.took(5);
    for (let calls = 0; calls < 64; calls++) pace.took(0.01);
    expect(pace.isSlow).toBe(false);
    for (let calls = 0; calls < 64; calls++) pace.took(2);
    const answers = Array.from({ length: 1001 }, () => pace.isSlow);
    expect(answers.slice(0, 1000)).toEqual(new Array(1000).fill(true));
    expect(answers[1000]).toBe(false);
  });

  test('each call counts, also one that fails', async () => {
    const folder = await scratch();
    const took: number[] = [];
    const disk = adaptiveFs({ isSlow: false, took: (ms) => took.push(ms) });
    await disk.stat(folder);
    await disk.stat(join(folder, 'none')).catch(() => undefined);
    expect(took).toHaveLength(2);
  });
});
