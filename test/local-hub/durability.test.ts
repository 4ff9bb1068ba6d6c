import { fstatSync, statSync } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ifPresent } from '../../src/fs/if-present.ts';
import { filesIn } from '../support/folder.ts';
import { commit, file, noise, TOKEN, temporaryFolder, testHub } from './helpers.ts';

/** Inodes that are flushed from now on, and those of files that still had their staged names then. */
async function watchFlushes(dir: string): Promise<{ flushed: Set<number>; staged: Set<number> }> {
  const flushed = new Set<number>();
  const staged = new Set<number>();
  const probe = await open(tmpdir(), 'r');
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const { sync } = prototype;
  prototype.sync = async function (this: FileHandle) {
    const { ino } = fstatSync(this.fd);
    await sync.call(this);
    flushed.add(ino);
    const names = (await ifPresent(() => readdir(join(dir, '.xetkit-staging')))) ?? [];
    const inodes = names.map((name) => statSync(join(dir, '.xetkit-staging', name), { throwIfNoEntry: false })?.ino);
    if (inodes.includes(ino)) staged.add(ino);
  };
  onTestFinished(() => {
    prototype.sync = sync;
  });
  return { flushed, staged };
}

/** Paths of everything that a Hub has acknowledged. */
async function acknowledged(dir: string): Promise<string[]> {
  return (await filesIn(dir)).filter((path) => !/xetkit-(staging|locks)/.test(path));
}

test.skipIf(process.platform === 'win32')(
  'a durable Hub flushes each file before it is renamed, and the folders above it',
  async () => {
    const dir = join(await temporaryFolder(), 'new', 'hub');
    const { flushed, staged } = await watchFlushes(dir);
    const hub = await testHub({ dir, durable: true });
    await hub.commitFiles('me/model', { 'weights.bin': noise(1, 1_500_000), 'config.json': '{}' });
    expect((await commit(hub, 'me/model', [file('README.md', '# Read me')])).status).toBe(200);
    const body = JSON.stringify({ size: 3 });
    const upload = { method: 'POST', headers: { ...TOKEN, 'content-type': 'application/json' }, body };
    expect((await fetch(`${hub.url}/api/models/me/model/branch/dev`, upload)).status).toBe(200);
    const files = await acknowledged(dir);
    expect(files.length).toBeGreaterThan(10);
    const inode = (path: string) => statSync(path).ino;
    expect(files.filter((path) => !flushed.has(inode(path)))).toEqual([]);
    expect(files.filter((path) => !path.endsWith('xetkit-hub.json') && !staged.has(inode(path)))).toEqual([]);
    const folders = new Set<string>();
    for (const path of files)
      for (let at = dirname(path); at.startsWith(dirname(dir)); at = dirname(at)) folders.add(at);
    expect([...folders].filter((path) => !flushed.has(inode(path)))).toEqual([]);
  },
);

test('a Hub that is not durable flushes nothing', async () => {
  const dir = await temporaryFolder();
  const hub = await testHub({ dir, durable: false });
  const { flushed } = await watchFlushes(dir);
  await hub.commitFiles('me/model', { 'weights.bin': noise(2, 1_500_000) });
  expect([...flushed]).toEqual([]);
});
