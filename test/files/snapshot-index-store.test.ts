import { rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { openRepoStore } from '../../src/files/disk/repo-store.node.ts';
import type { DiskOffload } from '../../src/files/disk-offload.ts';
import { type BroughtFile, commitFilesOf } from '../../src/files/place.ts';
import { openVerifiedFiles } from '../../src/files/verified-files.node.ts';
import { scratch } from '../support/hub.ts';
import { bytesOf, COMMIT, fileOf, fill, OTHER_COMMIT, quiet, REPO } from '../support/stores.ts';

const content = (index: number) => bytesOf(`file ${index}`);
const nameOf = (index: number) => `folder/${index}.txt`;
const fileAt = (index: number) => fileOf(nameOf(index), content(index));
const indices = [0, 1, 2, 3, 4];

describe.each([
  ['the cache folder', false],
  ['a folder', true],
])('a snapshot in %s', (_, local) => {
  /** A store as a process finds it, and how often it has looked into what is known of a file. */
  async function opened(folder: string, help?: DiskOffload) {
    const known = openVerifiedFiles(join(folder, 'files'));
    const check = vi.spyOn(known, 'check');
    const localDir = local ? { localDir: join(folder, 'out') } : {};
    const store = openRepoStore({ cacheDir: join(folder, 'hub'), known, help, ...localDir });
    return { store, check };
  }
  type Opened = Awaited<ReturnType<typeof opened>>;

  /** What a snapshot does with files: it looks for them, and brings those that are not there. */
  async function snapshot({ store }: Opened, wanted = indices): Promise<boolean[]> {
    const files = await commitFilesOf(store, REPO, COMMIT, wanted.length);
    const wrote: boolean[] = [];
    const brought: BroughtFile[] = [];
    for (const index of wanted) {
      await files.find(nameOf(index));
      const file = fileAt(index);
      const outcome = await fill(files.place(file, 'main'), content(index));
      wrote.push(outcome.wrote);
      brought.push({ path: file.path, localPath: outcome.path, etag: file.etag, size: file.size });
    }
    await files.noteSnapshot(brought);
    return wrote;
  }

  const pathOf = ({ store }: Opened, index: number) => join(store.folder(REPO, COMMIT), nameOf(index));

  test('costs one look a file the next time, and gives what it gave', async () => {
    const folder = await scratch();
    const first = await opened(folder);
    expect(await snapshot(first)).toEqual(indices.map(() => true));
    const found = await Promise.all(indices.map((index) => first.store.find(REPO, COMMIT, nameOf(index))));
    const verified = await Promise.all(
      indices.map((index) => first.store.place(fileAt(index), 'main').existing(quiet.signal)),
    );
    const next = await opened(folder);
    const files = await commitFilesOf(next.store, REPO, COMMIT, indices.length);
    expect(await Promise.all(indices.map((index) => files.find(nameOf(index))))).toEqual(found);
    expect(
      await Promise.all(indices.map((index) => files.place(fileAt(index), 'main').existing(quiet.signal))),
    ).toEqual(verified);
    expect(next.check).not.toHaveBeenCalled();
    // Once more is another question.
    await files.place(fileAt(0), 'main').existing(quiet.signal);
    expect(next.check).toHaveBeenCalledTimes(1);
  });

  test('is looked at file by file where nobody said that it is one, or that it is another commit', async () => {
    const folder = await scratch();
    await snapshot(await opened(folder));
    const { store, check } = await opened(folder);
    await store.find(REPO, COMMIT, nameOf(1));
    expect(await store.place(fileAt(1), 'main').existing(quiet.signal)).toMatchObject({ verified: 'sha256' });
    expect(check).toHaveBeenCalled();
    const calls = check.mock.calls.length;
    const files = await commitFilesOf(store, REPO, COMMIT, 5);
    await files.find(nameOf(1));
    const other = { ...fileAt(1), commit: OTHER_COMMIT };
    expect(await files.place(other, 'main').existing(quiet.signal)).toMatchObject({ verified: 'sha256' });
    expect(check.mock.calls.length).toBeGreaterThan(calls);
  });

  test('notices what has changed, also with the length and the times that it had', async () => {
    const folder = await scratch();
    const first = await opened(folder);
    await snapshot(first);
    const { atime, mtime } = await stat(pathOf(first, 2));
    await writeFile(pathOf(first, 2), 'FILE 2', { flag: 'r+' });
    await utimes(pathOf(first, 2), atime, mtime);
    await rm(pathOf(first, 3));
    const next = await opened(folder);
    expect(await snapshot(next)).toEqual([false, false, true, local, false]);
    // That one is right again, and noted.
    const last = await opened(folder);
    expect(await snapshot(last)).toEqual(indices.map(() => false));
    expect(last.check).not.toHaveBeenCalled();
  });

  test('of some of its files leaves what is noted of the others', async () => {
    const folder = await scratch();
    await snapshot(await opened(folder), [0, 1]);
    await snapshot(await opened(folder), [2, 3]);
    await snapshot(await opened(folder), [1, 3, 4]);
    const last = await opened(folder);
    expect(await snapshot(last)).toEqual(indices.map(() => false));
    expect(last.check).not.toHaveBeenCalled();
  });

  test('that is another file of the same look is not taken for the one that is wanted', async () => {
    const folder = await scratch();
    await snapshot(await opened(folder));
    const { store } = await opened(folder);
    const files = await commitFilesOf(store, REPO, COMMIT, 5);
    await files.find(nameOf(1));
    const wanted = fileOf(nameOf(1), bytesOf('FILE 1'));
    expect(await files.place(wanted, 'main').existing(quiet.signal)).toBeUndefined();
  });

  test('calls for help where many files are not what they were', async () => {
    const folder = await scratch();
    await snapshot(await opened(folder));
    const expected: number[] = [];
    const help: DiskOffload = {
      expect: (files) => void expected.push(files),
      active: false,
      run: (_name, _args, here) => here(),
      tryReserve: () => false,
      release: () => undefined,
      close: async () => undefined,
    };
    const same = await opened(folder, help);
    await snapshot(same);
    // None but those that are known are to come.
    expect(Math.max(...expected)).toBeLessThanOrEqual(0);
    expected.length = 0;
    for (const index of [0, 2, 4]) await utimes(pathOf(same, index), 1, 1);
    await snapshot(await opened(folder, help));
    expect(expected).toEqual([0, 1, 2, 3]);
  });

  test('follows a link to where it leads now', async () => {
    const folder = await scratch();
    const first = await opened(folder);
    await snapshot(first);
    const elsewhere = join(dirname(pathOf(first, 1)), 'elsewhere');
    await writeFile(elsewhere, 'file 1');
    await rm(pathOf(first, 1));
    await symlink(elsewhere, pathOf(first, 1));
    const next = await opened(folder);
    const files = await commitFilesOf(next.store, REPO, COMMIT, 5);
    await files.find(nameOf(1));
    expect(await files.place(fileAt(1), 'main').existing(quiet.signal)).toMatchObject({ verified: 'sha256' });
    expect(next.check).toHaveBeenCalled();
  });
});
