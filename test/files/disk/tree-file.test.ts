import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TreeFiles } from '../../../src/files/disk/tree-file.node.ts';
import { formatTree, parseTree } from '../../../src/files/disk/tree-format.ts';
import { Fence } from '../../../src/fs/fence.node.ts';
import { scratch } from '../../support/hub.ts';
import { holds } from '../../support/property.ts';
import { bytesOf, COMMIT, entryOf, gitSha1Of, sha256Of } from '../../support/stores.ts';

const bytes = bytesOf('something');
const small = entryOf('sub/small.json', bytes);
const large = entryOf('large ü.bin', bytes, { sha256: sha256Of(bytes), xetHash: 'e'.repeat(64) });
const folder = entryOf('sub', new Uint8Array(), { type: 'directory' });

/** A listing with one file, as Python writes it. */
const treeWith = (file: object, path = 'a', version: unknown = 1) =>
  JSON.stringify({ format_version: version, files: { [path]: file } });
const plain = { size: 9, blob_id: gitSha1Of(bytes) };

describe('a listing on the disk', () => {
  test("is Python's form, and is read back", async () => {
    const at = await scratch();
    await new TreeFiles(at, new Fence(at)).write(COMMIT, [small, folder, large]);
    expect(await readdir(join(at))).toEqual(['trees']);
    expect(JSON.parse(await readFile(join(at, 'trees', `${COMMIT}.json`), 'utf8'))).toEqual({
      format_version: 1,
      files: {
        'large ü.bin': {
          size: 9,
          blob_id: gitSha1Of(bytes),
          lfs_sha256: sha256Of(bytes),
          lfs_size: 9,
          xet_hash: 'e'.repeat(64),
        },
        'sub/small.json': { size: 9, blob_id: gitSha1Of(bytes) },
      },
    });
    const trees = new TreeFiles(at, new Fence(at));
    expect(await trees.read(COMMIT)).toEqual([large, small]);
    expect(await trees.entry(COMMIT, 'large ü.bin')).toEqual(large);
    expect(await trees.entry(COMMIT, 'sub')).toBe('missing');
    expect(await trees.entry('f'.repeat(40), 'sub')).toBeUndefined();
  });

  test('is not kept while the xet hash of a large file is withheld', async () => {
    const at = await scratch();
    await new TreeFiles(at, new Fence(at)).write(COMMIT, [small, { ...large, xetHash: undefined }]);
    expect(await readdir(at)).toEqual([]);
  });

  test('names that mean something to JavaScript are names', () => {
    const odd = ['__proto__', 'constructor', '1', 'toString'].map((path) => entryOf(path, bytes));
    const read = parseTree(formatTree(odd) ?? '') ?? [];
    expect(read.map(({ path }) => path).sort()).toEqual(odd.map(({ path }) => path).sort());
    expect(read.every(({ size }) => size === 9)).toBe(true);
  });

  test.each([
    ['nothing', ''],
    ['half of one', treeWith(plain).slice(0, 40)],
    ['another version', treeWith(plain, 'a', 2)],
    ['no version', treeWith(plain, 'a', null)],
    ['a list', '[]'],
    ['no files', '{"format_version":1}'],
    ['a path that leaves', treeWith(plain, '../a')],
    ['an absolute path', treeWith(plain, '/a')],
    ['a size that is none', treeWith({ ...plain, size: -1 })],
    ['a size as text', treeWith({ ...plain, size: '9' })],
    ['no id', treeWith({ size: 9 })],
    ['half of what tells a large file', treeWith({ ...plain, lfs_sha256: sha256Of(bytes) })],
    ['a sha256 that is none', treeWith({ ...plain, lfs_sha256: 'x', lfs_size: 9 })],
    ['a xet hash that is withheld', treeWith({ ...plain, xet_hash: 'hidden' })],
  ])('%s is as good as none', async (_, text) => {
    expect(parseTree(text)).toBeUndefined();
    const at = await scratch();
    await mkdir(join(at, 'trees'));
    await writeFile(join(at, 'trees', `${COMMIT}.json`), text);
    expect(await new TreeFiles(at, new Fence(at)).read(COMMIT)).toBeUndefined();
    await new TreeFiles(at, new Fence(at)).write(COMMIT, [small]);
    expect(await new TreeFiles(at, new Fence(at)).read(COMMIT)).toEqual([small]);
  });

  test('a large file without a xet hash, which Python keeps too, is read', () => {
    const text = treeWith({ ...plain, lfs_sha256: sha256Of(bytes), lfs_size: 9 });
    expect(parseTree(text)).toEqual([entryOf('a', bytes, { sha256: sha256Of(bytes) })]);
  });

  test('any text is a listing or none', () => {
    holds(
      500,
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.jsonValue().map((value) => treeWith(value as object)),
      ),
      (text) => {
        const read = parseTree(text);
        expect(read === undefined || Array.isArray(read)).toBe(true);
      },
    );
  });
});
