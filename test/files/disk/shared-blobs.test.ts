import { appendFile, lstat, mkdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { HubCache } from '../../../src/files/disk/hub-cache.node.ts';
import { LOCK_WORTH_BYTES } from '../../../src/files/disk/python-lock.node.ts';
import { SharedBlobs } from '../../../src/files/disk/shared-blobs.node.ts';
import { scratch } from '../../support/hub.ts';
import { fileOf, fill, KnownHere, quiet, sha256Of } from '../../support/stores.ts';

const XET = 'e'.repeat(64);
const bytes = new Uint8Array(LOCK_WORTH_BYTES).fill(7);
const wrong = new Uint8Array(LOCK_WORTH_BYTES).fill(8);
const one = { type: 'model', name: 'owner/one' } as const;
const two = { type: 'dataset', name: 'owner/two' } as const;
const file = fileOf('a.bin', bytes, { repo: one, xetHash: XET });

/** A cache folder in which Python's client has made a store. */
async function cacheWithStore() {
  const at = await scratch();
  await mkdir(join(at, 'blobs'));
  await writeFile(join(at, 'blobs', '.huggingface-shared-blobs'), '1\n');
  const blob = join(at, 'models--owner--one', 'blobs', sha256Of(bytes));
  const otherBlob = join(at, 'datasets--owner--two', 'blobs', sha256Of(bytes));
  return { at, blob, otherBlob, entry: join(at, 'blobs', 'ee', XET), store: new SharedBlobs(at) };
}

const cacheOf = (at: string) => new HubCache(at, new KnownHere());

afterEach(() => vi.unstubAllEnvs());

describe('content that repositories share', () => {
  test('is put where Python shares it, and taken from there', async () => {
    const { at, blob, otherBlob, entry, store } = await cacheWithStore();
    const { path } = await fill(cacheOf(at).place(file, 'main'), bytes);
    expect(await readlink(blob)).toBe(`../../blobs/ee/${XET}`);
    expect(await readlink(path)).toBe(`../../blobs/${file.etag}`);
    expect((await lstat(entry)).mode & 0o222).toBe(0);
    expect(await readFile(`${entry}.refs`, 'utf8')).toBe(`models--owner--one/blobs/${file.etag}\n`);
    expect(await fill(cacheOf(at).place(file, 'main'), bytes)).toEqual({ path, wrote: false });

    const elsewhere = cacheOf(at).place(fileOf('b.bin', bytes, { repo: two, xetHash: XET }), 'main');
    expect((await fill(elsewhere, bytes)).wrote).toBe(false);
    expect(await readlink(otherBlob)).toBe(`../../blobs/ee/${XET}`);
    expect(await store.references(entry)).toEqual(new Set([blob, otherBlob]));
    expect(await store.targetOf(blob)).toBe(entry);
    expect(await store.list()).toEqual([{ path: entry, size: bytes.length }]);
  });

  test('goes with the last that links to it', async () => {
    const { at, blob, otherBlob, entry, store } = await cacheWithStore();
    await fill(cacheOf(at).place(file, 'main'), bytes);
    await fill(cacheOf(at).place({ ...file, repo: two }, 'main'), bytes);
    expect(await store.sweep(entry)).toBe(0);
    await rm(blob);
    expect(await store.sweep(entry)).toBe(0);
    await rm(otherBlob);
    expect(await store.sweep(entry)).toBe(bytes.length);
    expect(await store.list()).toEqual([]);
  });

  test('stays where it is not known who links to it', async () => {
    const { at, blob, entry, store } = await cacheWithStore();
    await fill(cacheOf(at).place(file, 'main'), bytes);
    await rm(`${entry}.refs`);
    await rm(blob);
    expect(await store.references(entry)).toBeUndefined();
    expect(await store.sweep(entry)).toBe(0);
    await writeFile(`${entry}.refs`, '../../etc/passwd\n/etc/passwd\nmodels--a/../../x/blobs/y\nnonsense\n');
    expect(await store.references(entry)).toEqual(new Set());
  });

  test('is hashed before it is taken, and replaced if it is wrong', async () => {
    const { at, blob, entry } = await cacheWithStore();
    await mkdir(dirname(entry));
    await writeFile(entry, wrong);
    const place = cacheOf(at).place(file, 'main');
    expect((await fill(place, bytes)).wrote).toBe(true);
    expect((await readFile(entry)).equals(bytes)).toBe(true);
    expect(await readlink(blob)).toBe(`../../blobs/ee/${XET}`);
  });

  test('is replaced when it is to be fetched again', async () => {
    const { at, entry } = await cacheWithStore();
    await fill(cacheOf(at).place(file, 'main'), bytes);
    const before = (await stat(entry)).ino;
    const sink = await cacheOf(at)
      .place(file, 'main')
      .openSink({ ...quiet, resume: false });
    await sink.write(0, bytes, new Uint8Array());
    await sink.publish('xet');
    await sink.close();
    expect((await stat(entry)).ino).not.toBe(before);
  });

  test('links that lead elsewhere are no links to it', async () => {
    const { at, blob, entry, store } = await cacheWithStore();
    await mkdir(dirname(blob), { recursive: true });
    for (const target of ['/etc/passwd', '../../blobs/ee/x', `../../blobs/ff/${XET}`, entry.slice(0, -1)]) {
      await rm(blob, { force: true });
      await symlink(target, blob);
      expect(await store.targetOf(blob), target).toBeUndefined();
    }
    expect(await store.targetOf(join(at, 'nothing'))).toBeUndefined();
  });
});

describe('content stays with its repository', () => {
  const isOwn = async (blob: string) => (await lstat(blob)).isFile();

  test('where Python has made no store', async () => {
    const { at, blob, store } = await cacheWithStore();
    await rm(join(at, 'blobs'), { recursive: true });
    await fill(cacheOf(at).place(file, 'main'), bytes);
    expect(await isOwn(blob)).toBe(true);
    expect(await store.exists()).toBe(false);
  });

  test('where the store is of another kind', async () => {
    const { at, blob } = await cacheWithStore();
    await appendFile(join(at, 'blobs', '.huggingface-shared-blobs'), '2\n');
    await fill(cacheOf(at).place(file, 'main'), bytes);
    expect(await isOwn(blob)).toBe(true);
  });

  test.each(['HF_HUB_DISABLE_SHARED_BLOBS', 'HF_HUB_DISABLE_XET', 'HF_HUB_DISABLE_SYMLINKS'])(
    'with %s',
    async (name) => {
      vi.stubEnv(name, '1');
      const { at, blob, store } = await cacheWithStore();
      const { path } = await fill(cacheOf(at).place(file, 'main'), bytes);
      expect(await isOwn(name.endsWith('SYMLINKS') ? path : blob)).toBe(true);
      expect(await store.list()).toEqual([]);
    },
  );

  test('when it is not stored in a CAS, or is small', async () => {
    const { at, blob, store } = await cacheWithStore();
    await fill(cacheOf(at).place({ ...file, xetHash: undefined }, 'main'), bytes);
    expect(await isOwn(blob)).toBe(true);
    const small = bytes.subarray(1);
    await fill(cacheOf(at).place(fileOf('s', small, { repo: one, xetHash: 'a'.repeat(64) }), 'main'), small);
    expect(await store.list()).toEqual([]);
  });

  test('when its repository is kept elsewhere', async () => {
    const { at, blob, store } = await cacheWithStore();
    await symlink(await scratch(), join(at, 'models--owner--one'));
    const { path } = await fill(cacheOf(at).place(file, 'main'), bytes);
    expect(await isOwn(blob)).toBe(true);
    expect((await readFile(path)).length).toBe(bytes.length);
    expect(await store.list()).toEqual([]);
  });
});
