import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startLocalHub } from '../../src/local-hub.ts';
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
  await expect(startLocalHub({ port: Number(new URL(hub.url).port) })).rejects.toThrow('EADDRINUSE');
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
