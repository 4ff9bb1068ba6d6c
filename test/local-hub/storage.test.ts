import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startLocalHub } from '../../src/local-hub/start.ts';
import { assemble, bytesOf, call, noise, reconstruction, same, temporaryFolder, testHub } from './helpers.ts';

test('what was stored is served again by another server on the same folder', async () => {
  const dir = await temporaryFolder();
  const data = noise(1, 3_000_000);
  const first = await startLocalHub({ dir });
  const { commit } = await first.commitFiles('me/model', { 'a/weights.bin': data, 'README.md': '# Hi' });
  await first.close();
  const second = await testHub({ dir });
  expect(same(await bytesOf(await fetch(`${second.url}/me/model/resolve/main/a/weights.bin`)), data)).toBe(true);
  expect(await (await fetch(`${second.url}/me/model/resolve/${commit}/README.md`)).text()).toBe('# Hi');
  expect(same(await assemble(await reconstruction(second, 'me/model', 'a/weights.bin')), data)).toBe(true);
});

test('a file of many small xorbs comes back whole, with every way of compression', async () => {
  const hub = await testHub();
  const data = new Uint8Array(new Float32Array(600_000).map((_, index) => Math.sin(index / 7)).buffer);
  for (const compression of ['none', 'lz4', 'bg4-lz4', 'auto'] as const) {
    const repo = `me/${compression}`;
    await hub.commitFiles(repo, { 'w.bin': data }, { compression, chunksPerXorb: 3 });
    const found = await reconstruction(hub, repo, 'w.bin');
    expect(found.terms.length).toBeGreaterThan(5);
    expect(same(await assemble(found), data)).toBe(true);
  }
});

test('content that is there already is not stored again', async () => {
  const hub = await testHub();
  const data = noise(2, 4_000_000);
  await hub.commitFiles('me/one', { 'w.bin': data });
  const before = Object.keys((await reconstruction(hub, 'me/one', 'w.bin')).xorbs);
  await hub.commitFiles('me/two', { 'w.bin': Buffer.concat([data, noise(3, 500_000)]) });
  const after = await reconstruction(hub, 'me/two', 'w.bin');
  expect(Object.keys(after.xorbs)).toEqual(expect.arrayContaining(before));
  expect(Object.keys(after.xorbs)).toHaveLength(2);
});

test('a port that is taken is an error', async () => {
  const hub = await testHub();
  await expect(startLocalHub({ port: Number(new URL(hub.url).port) })).rejects.toThrow('is in use by another program');
});

test('a temporary folder goes with its server, a given one stays', async () => {
  const hub = await startLocalHub();
  await hub.commitFiles('me/x', { a: 'text' });
  await hub.close();
  await expect(mkdir(hub.dir)).resolves.toBeUndefined();
});

test('seeding twice makes one commit, and a change makes one more', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'me/model/sub'), { recursive: true });
  await mkdir(join(folder, 'datasets/you/data'), { recursive: true });
  await mkdir(join(folder, 'spaces/you/app'), { recursive: true });
  await writeFile(join(folder, 'me/model/config.json'), '{}');
  await writeFile(join(folder, 'me/model/sub/w.bin'), noise(4, 1_200_000));
  await writeFile(join(folder, 'datasets/you/data/tiny.bin'), new Uint8Array([1, 0, 2]));
  await writeFile(join(folder, 'spaces/you/app/app.py'), 'print(1)');
  await symlink('/etc/hostname', join(folder, 'me/model/link'));
  const hub = await testHub();
  const first = await hub.seed(folder);
  expect(first.map(({ type, name, changed, files }) => [type, name, changed, files])).toEqual([
    ['dataset', 'you/data', true, 1],
    ['model', 'me/model', true, 2],
    ['space', 'you/app', true, 1],
  ]);
  const again = await hub.seed(folder);
  expect(again.map(({ commit, changed }) => [commit, changed])).toEqual(first.map(({ commit }) => [commit, false]));
  await writeFile(join(folder, 'me/model/config.json'), '{"a":1}');
  expect((await hub.seed(folder)).map(({ changed }) => changed)).toEqual([false, true, false]);
  const head = await call(hub, '/datasets/you/data/resolve/main/tiny.bin', { method: 'HEAD' });
  expect(head.status).toBe(302);
});

test('seeding leaves out what belongs to git and to clients, and nothing outside of the folder gets in', async () => {
  const folder = await temporaryFolder();
  const outside = await temporaryFolder();
  await writeFile(join(outside, 'secret.txt'), 'secret');
  for (const path of [
    'me/model/config.json',
    'me/model/.cache/other/kept.txt',
    'me/model/.cache/huggingface/download/config.json.metadata',
    'me/model/sub/.cache/huggingface/x',
    'me/model/.git/config',
    'me/model/sub/.GIT/config',
    '.cache/huggingface/download/x',
  ]) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), '1');
  }
  await symlink(outside, join(folder, 'me/model/linked'));
  await symlink(join(outside, 'secret.txt'), join(folder, 'me/model/secret.txt'));
  await symlink(outside, join(folder, 'me/linked'));
  await symlink(outside, join(folder, 'linked'));
  const hub = await testHub();
  const seeded = await hub.seed(folder);
  expect(seeded.map(({ name, files }) => [name, files])).toEqual([['me/model', 2]]);
  const tree = (await (await call(hub, '/api/models/me/model/tree/main?recursive=1')).json()) as { path: string }[];
  expect(tree.map(({ path }) => path)).toEqual(['.cache', '.cache/other', '.cache/other/kept.txt', 'config.json']);
});

test('seeding skips links that lead nowhere, and rejects if the system fails in any other way', async () => {
  const folder = await temporaryFolder();
  const snapshot = join(folder, 'models--me--cached/snapshots', '1'.repeat(40));
  await mkdir(snapshot, { recursive: true });
  await symlink('missing', join(snapshot, 'broken'));
  await symlink('loop', join(snapshot, 'loop'));
  const hub = await testHub();
  expect(await hub.seed(folder)).toMatchObject([{ name: 'me/cached', files: 0 }]);
  await symlink('x'.repeat(300), join(snapshot, 'long'));
  await expect(hub.seed(folder)).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
});

test('a cache of the Hub is seeded from the snapshot of main, through links to its own blobs only', async () => {
  const folder = await temporaryFolder();
  const outside = await temporaryFolder();
  await writeFile(join(outside, 'secret.txt'), 'secret');
  const repo = join(folder, 'models--me--model');
  const [old, main] = ['a'.repeat(40), 'b'.repeat(40)];
  for (const [path, content] of [
    ['blobs/1', 'one'],
    ['refs/main', main],
    [`snapshots/${old}/old.txt`, 'old'],
    [`snapshots/${main}/sub/plain.txt`, 'plain'],
    ['../datasets--me--data/snapshots/cccccccccccccccccccccccccccccccccccccccc/x', 'x'],
    ['../.locks/models--me--model/1.lock', ''],
    ['../models--me--empty/refs/main', main],
  ] as const) {
    await mkdir(join(repo, path, '..'), { recursive: true });
    await writeFile(join(repo, path), content);
  }
  await symlink('../../blobs/1', join(repo, 'snapshots', main, 'linked.txt'));
  await symlink(join(outside, 'secret.txt'), join(repo, 'snapshots', main, 'secret.txt'));
  await symlink(outside, join(repo, 'snapshots', main, 'folder'));
  await symlink('nowhere', join(repo, 'snapshots', main, 'broken'));
  const hub = await testHub();
  const seeded = await hub.seed(folder);
  expect(seeded.map(({ type, name, files }) => [type, name, files])).toEqual([
    ['dataset', 'me/data', 1],
    ['model', 'me/model', 2],
  ]);
  expect(await (await fetch(`${hub.url}/me/model/resolve/main/linked.txt`)).text()).toBe('one');
  expect((await fetch(`${hub.url}/me/model/resolve/main/secret.txt`)).status).toBe(404);
});
