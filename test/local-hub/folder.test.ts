import { spawn } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startLocalHub } from '../../src/local-hub/start.ts';
import { lockFolder } from '../../src/local-hub/store/folder-lock.ts';
import { bytesOf, call, commit, file, noise, same, temporaryFolder, testHub } from './helpers.ts';

async function contentOf(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) found[path.slice(folder.length + 1)] = await readFile(path, 'utf8');
  }
  return found;
}

/** A Hub's folder as versions before the marker left it. */
async function earlierHub(): Promise<string> {
  const dir = await temporaryFolder();
  const hub = await startLocalHub({ dir });
  await hub.commitFiles('me/model', { 'w.bin': noise(1, 1_500_000), 'README.md': '# Hi' });
  await hub.commitFiles('oldest', { a: '1' });
  await hub.close();
  for (const name of await readdir(dir)) if (name.includes('xetkit')) await rm(join(dir, name), { recursive: true });
  await mkdir(join(dir, 'tmp'));
  return dir;
}

describe('the folder of a Hub', () => {
  test.each([
    ['a folder called tmp', ['tmp/thesis.txt']],
    ['a project', ['package.json', 'src/entries/index.ts', 'tmp/cache']],
    ['a repository of git', ['.git/config', '.git/HEAD']],
    ['folders that are called as the stores are', ['blobs/mine.txt', 'files/ab/x.json']],
    [
      'repositories that are not laid out as a Hub does it',
      ['repos/models/me/model/repo.json', 'repos/mine/notes.txt'],
    ],
    ['files in a folder of its staging area', ['tmp/0123456789abcdef01234567/mine.txt', 'repos/models/a/b/thesis.txt']],
  ])('%s is refused and stays as it is', async (_, names) => {
    const dir = await temporaryFolder();
    for (const name of names) {
      await mkdir(join(dir, name, '..'), { recursive: true });
      await writeFile(join(dir, name), 'mine');
    }
    const before = await contentOf(dir);
    await expect(startLocalHub({ dir })).rejects.toMatchObject({
      name: 'XetError',
      code: 'INVALID_ARGUMENT',
      message: `${dir} holds other files and is not the folder of a local Hub. Use an empty or a new folder for --dir.`,
    });
    expect(await contentOf(dir)).toEqual(before);
  });

  test('is marked, and nothing that it did not write is removed when it opens again', async () => {
    const dir = await temporaryFolder();
    const first = await startLocalHub({ dir });
    await first.commitFiles('me/model', { a: '1' });
    await first.close();
    expect(JSON.parse(await readFile(join(dir, 'xetkit-hub.json'), 'utf8'))).toMatchObject({
      kind: 'xetkit local Hub',
    });
    const mine = ['tmp/thesis.txt', 'notes.txt', '.xetkit-staging/mine.txt', 'repos/mine.txt'];
    for (const name of mine) {
      await mkdir(join(dir, name, '..'), { recursive: true });
      await writeFile(join(dir, name), 'mine');
    }
    await writeFile(join(dir, '.xetkit-staging/0123456789abcdef01234567'), 'half of a file');
    const second = await testHub({ dir });
    for (const name of mine) expect(await readFile(join(dir, name), 'utf8')).toBe('mine');
    expect(await readdir(join(dir, '.xetkit-staging'))).toEqual(['mine.txt']);
    expect((await call(second, '/api/models/me/model')).status).toBe(200);
  });

  test('is not emptied through a link', async () => {
    const dir = await temporaryFolder();
    const outside = await temporaryFolder();
    await writeFile(join(outside, '0123456789abcdef01234567'), 'mine');
    for (const name of ['.xetkit-staging', '.xetkit-locks']) {
      await symlink(outside, join(dir, name));
      await expect(startLocalHub({ dir })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await rm(join(dir, name));
      await rm(join(dir, '.xetkit-locks'), { recursive: true, force: true });
      expect(await readFile(join(outside, '0123456789abcdef01234567'), 'utf8')).toBe('mine');
    }
  });

  test('is adopted from versions that did not mark it, which loses nothing', async () => {
    const dir = await earlierHub();
    await writeFile(join(dir, 'tmp/0123456789abcdef01234567'), 'half of a file');
    const hub = await testHub({ dir });
    expect(same(await bytesOf(await fetch(`${hub.url}/me/model/resolve/main/w.bin`)), noise(1, 1_500_000))).toBe(true);
    expect(await (await fetch(`${hub.url}/oldest/resolve/main/a`)).text()).toBe('1');
    expect(await readdir(dir)).toContain('xetkit-hub.json');
    expect(await readdir(join(dir, 'tmp'))).toHaveLength(1);
  });

  test('is not adopted where anything else lies in it', async () => {
    for (const name of ['tmp/thesis.txt', 'notes.txt', 'repos/models/me/model/thesis.txt', 'xorbs/mine/x']) {
      const dir = await earlierHub();
      await mkdir(join(dir, name, '..'), { recursive: true });
      await writeFile(join(dir, name), 'mine');
      await expect(startLocalHub({ dir })).rejects.toThrow('holds other files');
      expect(await readFile(join(dir, name), 'utf8')).toBe('mine');
    }
  });

  test('has a marker that can be read and that this version knows', async () => {
    const dir = await temporaryFolder();
    for (const [content, message] of [
      ['', 'is damaged'],
      ['{"kind":"something else"}', 'is damaged'],
      ['{"kind":"xetkit local Hub","format":2}', 'newer version of xetkit'],
    ] as const) {
      await writeFile(join(dir, 'xetkit-hub.json'), content);
      await expect(startLocalHub({ dir })).rejects.toThrow(message);
    }
  });

  test('cannot be a file', async () => {
    const path = join(await temporaryFolder(), 'file');
    await writeFile(path, 'mine');
    for (const dir of [path, join(path, 'below')]) {
      await expect(startLocalHub({ dir })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/a file is in its place.*--dir/),
      });
    }
  });
});

describe('one Hub for a folder', () => {
  test('a second one is refused with the address of the first, until that is closed', async () => {
    const dir = await temporaryFolder();
    const first = await startLocalHub({ dir });
    await symlink(dir, `${dir}-link`);
    onTestFinished(() => rm(`${dir}-link`));
    for (const spelling of [dir, `${dir}/`, `${dir}-link`]) {
      await expect(startLocalHub({ dir: spelling })).rejects.toMatchObject({
        name: 'XetError',
        code: 'CONFLICT',
        message: expect.stringContaining(`is served by this process at ${first.url}. Use another --dir`),
      });
    }
    expect((await commit(first, 'me/model', [file('a', '1')])).status).toBe(404);
    await first.commitFiles('me/model', { a: '1' });
    await first.close();
    const second = await testHub({ dir });
    expect(await (await fetch(`${second.url}/me/model/resolve/main/a`)).text()).toBe('1');
  });

  test('of many that start at once at most one serves, and nobody waits for ever', async () => {
    const dir = await temporaryFolder();
    const started = await Promise.allSettled(Array.from({ length: 8 }, () => startLocalHub({ dir })));
    const running = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    for (const hub of running) onTestFinished(() => hub.close());
    expect(running).toHaveLength(1);
    for (const one of started) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'CONFLICT' });
    }
  });

  test('a start that fails leaves the folder free', async () => {
    const taken = await testHub();
    const dir = await temporaryFolder();
    await expect(startLocalHub({ dir, port: Number(new URL(taken.url).port) })).rejects.toThrow(
      'is in use by another program',
    );
    await testHub({ dir });
  });

  test('a process that has ended holds nothing, also where its id belongs to another one now', async () => {
    const dir = await temporaryFolder();
    const first = await startLocalHub({ dir });
    const [name = ''] = await readdir(join(dir, '.xetkit-locks'));
    await first.close();
    const [machine, pid, started, nonce] = name.split('.');
    const child = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => child.once('close', resolve));
    const left = [`${machine}.${child.pid}.${started}.${nonce}`];
    if (process.platform === 'linux') left.push(`${machine}.${pid}.${Number(started) + 1}.${nonce}`);
    for (const gone of left) await writeFile(join(dir, '.xetkit-locks', gone), '{"url":"http://127.0.0.1:1"}');
    await testHub({ dir });
    expect(await readdir(join(dir, '.xetkit-locks'))).toHaveLength(1);
  });

  test('a process of another container counts as there while it touches its lock, whatever its clock says', async () => {
    const dir = await temporaryFolder();
    const other = join(dir, 'locks', `${'0'.repeat(16)}.${process.pid}.7.${'0'.repeat(16)}`);
    await mkdir(join(dir, 'locks'));
    await writeFile(other, '{"url":"http://10.0.0.2:8080"}');
    let hours = 0;
    const touch = setInterval(() => {
      const time = new Date(Date.UTC(2001, 0, 1, hours--));
      utimes(other, time, time).catch(() => undefined);
    }, 20);
    onTestFinished(() => clearInterval(touch));
    await expect(lockFolder(dir, join(dir, 'locks'))).rejects.toThrow(
      `is served by process ${process.pid} of another machine or container at http://10.0.0.2:8080.`,
    );
    clearInterval(touch);
    const lock = await lockFolder(dir, join(dir, 'locks'), 300);
    expect(await readdir(join(dir, 'locks'))).toHaveLength(1);
    await lock.release();
  });

  test('a Hub whose folder was taken over while it was stopped changes nothing any more', async () => {
    const dir = await temporaryFolder();
    const hub = await testHub({ dir });
    await hub.commitFiles('me/model', { a: '1' });
    const refs = await readFile(join(dir, 'repos/models/me/model/refs.json'), 'utf8');
    for (const name of await readdir(join(dir, '.xetkit-locks'))) await rm(join(dir, '.xetkit-locks', name));
    const answer = await commit(hub, 'me/model', [file('a', '2')]);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { error: expect.stringContaining('taken over by another process') },
    ]);
    await expect(hub.commitFiles('me/model', { a: '2' })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await readFile(join(dir, 'repos/models/me/model/refs.json'), 'utf8')).toBe(refs);
  });
});

test('a body that was cut off is stored again, by clients and by the Hub alone', async () => {
  const dir = await temporaryFolder();
  const data = noise(5, 2_000_000);
  const damage = async () => {
    for (const name of await readdir(join(dir, 'xorbs'), { recursive: true })) {
      const path = join(dir, 'xorbs', name);
      if (name.endsWith('.xorb')) await writeFile(path, (await readFile(path)).subarray(0, 100_000));
    }
    for (const name of await readdir(join(dir, 'blobs'), { recursive: true })) {
      if (/\w{40}$/.test(name)) await writeFile(join(dir, 'blobs', name), '');
    }
  };
  const hub = await startLocalHub({ dir });
  await hub.commitFiles('me/model', { 'w.bin': data, a: 'text' });
  const copy = await temporaryFolder();
  await damage();
  await cp(dir, copy, { recursive: true });
  await hub.commitFiles('me/other', { 'w.bin': data, a: 'text' });
  expect(same(await bytesOf(await fetch(`${hub.url}/me/model/resolve/main/w.bin`)), data)).toBe(true);
  expect(await (await fetch(`${hub.url}/me/model/resolve/main/a`)).text()).toBe('text');
  await hub.close();
  await rm(join(copy, '.xetkit-locks'), { recursive: true });
  const fresh = await testHub({ dir: copy });
  await fresh.commitFiles('me/other', { 'w.bin': data, a: 'text' });
  expect(same(await bytesOf(await fetch(`${fresh.url}/me/model/resolve/main/w.bin`)), data)).toBe(true);
});
