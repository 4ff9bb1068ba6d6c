import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HubCache } from '../../../src/files/disk/hub-cache.node.ts';
import { LocalDir } from '../../../src/files/disk/local-dir.node.ts';
import { scratch } from '../../support/hub.ts';
import { rejectionOf } from '../../support/property.ts';
import { randomBytes } from '../../support/samples.ts';
import { COMMIT, fileOf, fill, KnownHere } from '../../support/stores.ts';

/** One that is written at once, and one that is written in parts. */
const SIZES = [1000, 600_000];

async function localDir() {
  const folder = await scratch();
  return { folder, store: new LocalDir({ folder, cacheDir: await scratch(), known: new KnownHere() }) };
}

test.each(SIZES)('a folder where a file of a local folder belongs is named (%i bytes)', async (size) => {
  const { folder, store } = await localDir();
  const at = join(folder, 'big.bin');
  await mkdir(join(at, 'full'), { recursive: true });
  const bytes = randomBytes(size, 1);
  const error = await rejectionOf(fill(store.place(fileOf('big.bin', bytes), 'main'), bytes));
  expect(error).toMatchObject({ name: 'XetError', code: 'CACHE', message: expect.stringContaining(`(${at})`) });
  expect(String(error)).toContain('A folder is where a file should be');
});

test.each(SIZES)('a file where a folder of a local folder belongs is named (%i bytes)', async (size) => {
  for (const path of ['sub/a', 'sub/deep/er/a']) {
    const { folder, store } = await localDir();
    await writeFile(join(folder, 'sub'), 'mine');
    const bytes = randomBytes(size, 2);
    const error = await rejectionOf(fill(store.place(fileOf(path, bytes), 'main'), bytes));
    expect(error).toMatchObject({ name: 'XetError', code: 'CACHE' });
    expect(String(error)).toContain('A file is where a folder should be');
    expect(String(error)).toContain(`(${join(folder, 'sub')})`);
    expect(await readFile(join(folder, 'sub'), 'utf8')).toBe('mine');
  }
});

test.each(SIZES)('what is in the way in the cache folder is named (%i bytes)', async (size) => {
  const bytes = randomBytes(size, 3);
  const file = fileOf('sub/a', bytes);
  const repo = 'models--me--model';
  for (const [path, makes] of [
    [['snapshots', COMMIT, 'sub', 'a'], 'folder'],
    [['snapshots', COMMIT, 'sub'], 'file'],
    [['blobs', file.etag], 'folder'],
    [['blobs'], 'file'],
  ] as const) {
    const folder = await scratch();
    const cache = new HubCache(folder, new KnownHere());
    const at = join(cache.folder(file.repo, COMMIT), '..', '..', ...path);
    expect(at).toContain(repo.slice(0, 6));
    await mkdir(join(at, '..'), { recursive: true });
    if (makes === 'folder') await mkdir(join(at, 'full'), { recursive: true });
    else await writeFile(at, 'mine');
    const error = await rejectionOf(fill(cache.place(file, 'main'), bytes));
    expect(error, at).toMatchObject({ name: 'XetError', code: 'CACHE' });
    expect(String(error)).toContain(`(${at})`);
  }
});
