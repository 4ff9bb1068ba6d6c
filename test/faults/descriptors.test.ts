import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LocalHub } from 'xetkit/local-hub';
import { scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { jsonLines, startNode } from './children.ts';
import { privateHub } from './harness.ts';
import { watchHygiene } from './hygiene.ts';

watchHygiene();

const SCRIPT = fileURLToPath(new URL('few-descriptors.mjs', import.meta.url));
const MIB = 1024 * 1024;
const REPO = 'owner/model';
const SMALL_FILES = 1500;

const contentOf = (index: number) => randomBytes(400 + ((index * 37) % 2000), index + 1);
const nameOf = (index: number) => `small/${index % 30}/${index}.${index % 2 === 0 ? 'bin' : 'txt'}`;

let hub: LocalHub;
beforeAll(async () => {
  const small = Array.from({ length: SMALL_FILES }, (_, index) => [nameOf(index), contentOf(index)]);
  const large = Array.from({ length: 4 }, (_, index) => [`large/${index}.bin`, randomBytes(20 * MIB, index + 81)]);
  hub = await privateHub(REPO, Object.fromEntries([...small, ...large]), { openWrites: true });
});
afterAll(() => hub.close());

/** The limit counts for the process as a whole: Node itself raises a soft one. */
async function withLimit(limit: number, settings: { left?: number; call: string; options: object }) {
  const under = ['sh', '-c', `ulimit -n ${limit}; exec "$0" "$@"`];
  const child = await startNode([SCRIPT, JSON.stringify(settings)], { HF_ENDPOINT: hub.url }, under);
  const { code, stdout, stderr } = await child.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return jsonLines(stdout);
}

async function expectSmallFiles(folder: string): Promise<void> {
  const found = (await readdir(join(folder, 'small'), { recursive: true })).filter((name) => /\d+\.\w+$/.test(name));
  expect(found).toHaveLength(SMALL_FILES);
  for (let index = 0; index < SMALL_FILES; index += 100) {
    expect(Buffer.compare(contentOf(index), await readFile(join(folder, nameOf(index))))).toBe(0);
  }
}

test.each([40, 64])('1,500 small files come where a process may have %i files open', async (limit) => {
  const localDir = await scratch();
  const options = { repo: REPO, localDir, allowPatterns: 'small/*' };
  expect(await withLimit(limit, { call: 'snapshot', options })).toEqual([
    expect.objectContaining({ done: true, files: SMALL_FILES }),
  ]);
  await expectSmallFiles(localDir);
});

test('files large and small come into the cache folder together', async () => {
  const options = { repo: REPO, allowPatterns: ['small/1*/*', 'large/*'] };
  const said = await withLimit(48, { call: 'snapshot', options });
  expect(said).toEqual([expect.objectContaining({ done: true, files: 554 })]);
});

test.each([12, 24])('a snapshot proceeds in a program that leaves it %i descriptors', async (left) => {
  const localDir = await scratch();
  const options = { repo: REPO, localDir, allowPatterns: 'small/*' };
  const said = await withLimit(256, { left, call: 'snapshot', options });
  expect(said.at(-1)).toMatchObject({ done: true, files: SMALL_FILES });
  expect(said.length).toBeLessThanOrEqual(2);
  await expectSmallFiles(localDir);
});

test('one large file comes where little may be open', async () => {
  const options = { repo: REPO, path: 'large/0.bin', localDir: await scratch() };
  expect(await withLimit(40, { call: 'downloadFile', options })).toEqual([expect.objectContaining({ done: true })]);
});

test('a folder of 500 files is uploaded where little may be open', async () => {
  const folder = await scratch();
  for (let index = 0; index < 500; index++) {
    await mkdir(join(folder, `${index % 10}`), { recursive: true });
    await writeFile(join(folder, `${index % 10}`, `${index}.${index % 2 === 0 ? 'bin' : 'txt'}`), contentOf(index));
  }
  const said = await withLimit(40, {
    call: 'upload',
    options: { repo: REPO, files: [{ path: 'up', content: folder }] },
  });
  expect(said).toEqual([expect.objectContaining({ done: true })]);
});

test.each(['snapshot', 'downloadFile'])('%s says what is wrong where nothing can be opened', async (call) => {
  const options = { repo: REPO, localDir: await scratch(), ...(call === 'downloadFile' && { path: 'large/0.bin' }) };
  const said = await withLimit(64, { left: 0, call, options });
  expect(said).toEqual([expect.objectContaining({ done: false, code: 'CACHE' })]);
  expect(said[0]?.message).toContain('Too many files and connections are open: raise the limit (ulimit -n)');
});
