import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HubCache } from '../../../src/files/disk/hub-cache.node.ts';
import { LocalDir } from '../../../src/files/disk/local-dir.node.ts';
import { parseMetadata } from '../../../src/files/disk/local-metadata.node.ts';
import { filesUnder, scratch } from '../../support/hub.ts';
import {
  bytesOf,
  COMMIT,
  entryOf,
  fileOf,
  fill,
  gitSha1Of,
  KnownHere,
  OTHER_COMMIT,
  quiet,
  REPO,
  sha256Of,
} from '../../support/stores.ts';

const bytes = bytesOf('the content\n');
const other = bytesOf('the contend\n');

async function localDir() {
  const [folder, cacheDir, known] = [await scratch(), await scratch(), new KnownHere()];
  const notes = join(folder, '.cache', 'huggingface');
  return { folder, cacheDir, known, notes, store: new LocalDir({ folder, cacheDir, known }) };
}

const metadataOf = async (notes: string, path: string) =>
  parseMetadata(await readFile(join(notes, 'download', `${path}.metadata`), 'utf8'));

async function writeMetadata(notes: string, path: string, etag: string, commit = COMMIT, seconds = Date.now() / 1000) {
  const file = join(notes, 'download', `${path}.metadata`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${commit}\n${etag}\n${seconds}\n`);
}

describe('a file in a folder of the user', () => {
  test("has Python's notes beside it", async () => {
    const { folder, notes, store } = await localDir();
    const { path, wrote } = await fill(store.place(fileOf('sub/a.bin', bytes), 'main'), bytes);
    expect({ path, wrote }).toEqual({ path: join(folder, 'sub', 'a.bin'), wrote: true });
    expect(await filesUnder(folder)).toEqual([
      '.cache/huggingface/.gitignore',
      '.cache/huggingface/CACHEDIR.TAG',
      '.cache/huggingface/download/sub/a.bin.metadata',
      'sub/a.bin',
    ]);
    expect(await readFile(join(notes, '.gitignore'), 'utf8')).toBe('*');
    expect(await readFile(join(notes, 'download', 'sub', 'a.bin.metadata'), 'utf8')).toMatch(
      new RegExp(`^${COMMIT}\n${sha256Of(bytes)}\n\\d+(\\.\\d+)?\n$`),
    );
    const { timestamp } = (await metadataOf(notes, 'sub/a.bin'))!;
    expect(timestamp).toBeGreaterThanOrEqual((await stat(path)).mtimeMs / 1000);
    expect(await fill(store.place(fileOf('sub/a.bin', bytes), 'main'), bytes)).toEqual({ path, wrote: false });
  });

  test('that is the same at another commit is noted for that one', async () => {
    const { notes, store } = await localDir();
    await fill(store.place(fileOf('a', bytes), 'main'), bytes);
    const there = store.place(fileOf('a', bytes, { commit: OTHER_COMMIT }), 'main');
    expect((await fill(there, bytes)).wrote).toBe(false);
    expect((await metadataOf(notes, 'a'))?.commit).toBe(OTHER_COMMIT);
  });

  test.each([
    ['sha256', sha256Of(bytes)],
    ['git-sha1', gitSha1Of(bytes)],
  ])('without notes is accepted by its %s', async (verified, etag) => {
    const { folder, notes, store } = await localDir();
    await writeFile(join(folder, 'a'), bytes);
    const place = store.place(fileOf('a', bytes, { etag }), 'main');
    expect(await place.existing(quiet.signal)).toEqual({ localPath: join(folder, 'a'), verified });
    expect(await metadataOf(notes, 'a')).toMatchObject({ commit: COMMIT, etag });
  });

  test('is hashed even when the notes say that it is right', async () => {
    const { folder, notes, store, known } = await localDir();
    await writeFile(join(folder, 'a'), other);
    await writeMetadata(notes, 'a', sha256Of(bytes));
    expect(await store.place(fileOf('a', bytes), 'main').existing(quiet.signal)).toBeUndefined();
    await writeFile(join(folder, 'a'), bytes);
    await writeMetadata(notes, 'a', sha256Of(bytes));
    expect(await store.place(fileOf('a', bytes), 'main').existing(quiet.signal)).toBeDefined();
    expect(await store.place(fileOf('a', bytes), 'main').existing(quiet.signal)).toBeDefined();
    expect(known.remembered).toHaveLength(1);
  });

  test('that was another one and was not changed is not hashed', async () => {
    const { folder, notes, store } = await localDir();
    // The content is right, so only who does not read it can say no.
    await writeFile(join(folder, 'a'), bytes);
    await writeMetadata(notes, 'a', sha256Of(other));
    expect(await store.place(fileOf('a', bytes), 'main').existing(quiet.signal)).toBeUndefined();
    const later = new Date(Date.now() + 60_000);
    await utimes(join(folder, 'a'), later, later);
    expect(await store.place(fileOf('a', bytes), 'main').existing(quiet.signal)).toBeDefined();
  });

  test('that the user changed is replaced, and stays until it is', async () => {
    const { folder, store } = await localDir();
    await fill(store.place(fileOf('a', bytes), 'main'), bytes);
    await writeFile(join(folder, 'a'), other);
    const place = store.place(fileOf('a', bytes), 'main');
    expect(await place.existing(quiet.signal)).toBeUndefined();
    const sink = await place.openSink(quiet);
    await sink.write(0, bytes, new Uint8Array());
    expect(await readFile(join(folder, 'a'))).toEqual(Buffer.from(other));
    await sink.publish('sha256');
    await sink.close();
    expect(await readFile(join(folder, 'a'))).toEqual(Buffer.from(bytes));
  });

  test('is not put through a link that leads out of the folder, and that is said before anything is fetched', async () => {
    const { folder, store } = await localDir();
    const elsewhere = await scratch();
    await symlink(elsewhere, join(folder, 'sub'));
    const refused = { code: 'CACHE', message: expect.stringContaining(join(folder, 'sub')) };
    await expect(store.place(fileOf('sub/a', bytes), 'main').openSink(quiet)).rejects.toMatchObject(refused);
    expect(await readdir(elsewhere)).toEqual([]);
  });

  test('may be behind a link that stays in the folder, and the folder itself may be a link', async () => {
    const { store } = await localDir();
    const link = join(await scratch(), 'link');
    await symlink(store.folder(), link);
    await mkdir(join(link, 'real'), { recursive: true });
    await symlink('real', join(link, 'sub'));
    const linked = new LocalDir({ folder: link, cacheDir: await scratch(), known: new KnownHere() });
    const { path } = await fill(linked.place(fileOf('sub/a', bytes), 'main'), bytes);
    expect(await readFile(path)).toEqual(Buffer.from(bytes));
  });

  test.each(['.cache/huggingface/download/a.metadata', '.cache/huggingface', '.Cache/HuggingFace/x', '.cache'])(
    'cannot be %s, which is for notes',
    async (path) => {
      const { store } = await localDir();
      expect(() => store.place(fileOf(path, bytes), 'main')).toThrowError(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    },
  );

  test.each(['../a', '/a', 'a/../../b', ''])('cannot leave the folder as %j', async (path) => {
    const { store } = await localDir();
    expect(() => store.place(fileOf(path, bytes), 'main')).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect(await store.find(REPO, COMMIT, path)).toBeUndefined();
  });
});

describe('what the Hub cache folder has', () => {
  test('is copied and not fetched', async () => {
    const { folder, cacheDir, known, notes, store } = await localDir();
    const cached = await fill(new HubCache(cacheDir, known).place(fileOf('x', bytes), 'main'), bytes);
    const blob = join(cacheDir, 'models--owner--model', 'blobs', sha256Of(bytes));
    await chmod(blob, 0o444);
    expect(await fill(store.place(fileOf('sub/a', bytes), 'main'), bytes)).toEqual({
      path: join(folder, 'sub', 'a'),
      wrote: false,
    });
    expect(await readFile(join(folder, 'sub', 'a'))).toEqual(Buffer.from(bytes));
    expect((await lstat(join(folder, 'sub', 'a'))).mode & 0o200).toBe(0o200);
    expect(await metadataOf(notes, 'sub/a')).toMatchObject({ etag: sha256Of(bytes) });
    expect(await readFile(cached.path)).toEqual(Buffer.from(bytes));
    expect((await filesUnder(folder)).filter((path) => path.includes('incomplete'))).toEqual([]);
  });

  test('is not believed', async () => {
    const { folder, cacheDir, store } = await localDir();
    const repo = join(cacheDir, 'models--owner--model');
    await mkdir(join(repo, 'blobs'), { recursive: true });
    await writeFile(join(repo, 'blobs', sha256Of(bytes)), other);
    expect(await store.place(fileOf('a', bytes), 'main').existing(quiet.signal)).toBeUndefined();
    expect((await filesUnder(folder)).filter((path) => !path.startsWith('.cache'))).toEqual([]);
    // A second source is right.
    await mkdir(join(repo, 'snapshots', COMMIT), { recursive: true });
    await writeFile(join(repo, 'snapshots', COMMIT, 'a'), bytes);
    expect((await store.place(fileOf('a', bytes), 'main').existing(quiet.signal))?.verified).toBe('sha256');
  });
});

describe('what is remembered', () => {
  test('commits, without touching the Hub cache folder', async () => {
    const { cacheDir, known, store } = await localDir();
    expect(await store.commitOf(REPO, 'main')).toBeUndefined();
    await store.noteCommit(REPO, 'main', COMMIT);
    await store.noteCommit(REPO, 'refs/pr/1', OTHER_COMMIT);
    expect(await store.commitOf(REPO, 'main')).toBe(COMMIT);
    expect(await store.commitOf(REPO, 'refs/pr/1')).toBe(OTHER_COMMIT);
    expect(await store.commitOf({ type: 'dataset', name: REPO.name }, 'main')).toBeUndefined();
    expect(await readdir(cacheDir)).toEqual([]);
    await new HubCache(cacheDir, known).noteCommit(REPO, 'v1', OTHER_COMMIT);
    expect(await store.commitOf(REPO, 'v1')).toBe(OTHER_COMMIT);
  });

  test('listings, also those of the Hub cache folder', async () => {
    const { cacheDir, known, notes, store } = await localDir();
    await store.noteTree(REPO, COMMIT, [entryOf('a', bytes)]);
    expect(await store.tree(REPO, COMMIT)).toEqual([entryOf('a', bytes)]);
    expect(await readdir(join(notes, 'trees'))).toEqual([`${COMMIT}.json`]);
    expect(await store.knownMissing(REPO, COMMIT, 'a')).toBe(false);
    expect(await store.knownMissing(REPO, COMMIT, 'b')).toBe(true);
    await new HubCache(cacheDir, known).noteTree(REPO, OTHER_COMMIT, [entryOf('b', bytes)]);
    expect(await store.tree(REPO, OTHER_COMMIT)).toEqual([entryOf('b', bytes)]);
  });

  test('files of a commit, as long as nobody changed them', async () => {
    const { folder, store } = await localDir();
    const { path } = await fill(store.place(fileOf('sub/a', bytes), 'main'), bytes);
    const held = { localPath: path, size: bytes.length, etag: sha256Of(bytes) };
    expect(await store.find(REPO, COMMIT, 'sub/a')).toEqual(held);
    expect(await store.find(REPO, OTHER_COMMIT, 'sub/a')).toBeUndefined();
    await store.noteTree(REPO, OTHER_COMMIT, [
      entryOf('sub/a', bytes, { sha256: sha256Of(bytes), xetHash: 'e'.repeat(64) }),
    ]);
    expect(await store.find(REPO, OTHER_COMMIT, 'sub/a')).toEqual(held);
    // Python allows a second.
    const near = new Date(Date.now() + 500);
    await utimes(path, near, near);
    expect(await store.find(REPO, COMMIT, 'sub/a')).toEqual(held);
    const later = new Date(Date.now() + 5_000);
    await utimes(path, later, later);
    expect(await store.find(REPO, COMMIT, 'sub/a')).toBeUndefined();
    expect(await store.find(REPO, COMMIT, 'b')).toBeUndefined();
    expect(store.folder()).toBe(folder);
  });

  test.each(['', 'x', `${COMMIT}\n`, `${COMMIT}\nabc\n`, `${COMMIT}\nabc\nyesterday\n`, `main\nabc\n1\n`])(
    'notes that say %j are none',
    async (text) => {
      const { folder, notes, store } = await localDir();
      await writeMetadata(notes, 'a', 'x');
      await writeFile(join(notes, 'download', 'a.metadata'), text);
      await writeFile(join(folder, 'a'), bytes);
      expect(await store.find(REPO, COMMIT, 'a')).toBeUndefined();
      expect((await store.place(fileOf('a', bytes), 'main').existing(quiet.signal))?.verified).toBe('sha256');
      expect(await metadataOf(notes, 'a')).toMatchObject({ commit: COMMIT, etag: sha256Of(bytes) });
    },
  );

  test('nothing of it fails when it cannot be written', async () => {
    const { folder, store } = await localDir();
    await writeFile(join(folder, 'a'), bytes);
    await writeFile(join(folder, '.cache'), 'in the way');
    expect((await store.place(fileOf('a', bytes), 'main').existing(quiet.signal))?.verified).toBe('sha256');
    await store.noteCommit(REPO, 'main', COMMIT);
    await store.noteTree(REPO, COMMIT, [entryOf('a', bytes)]);
    expect(await store.tree(REPO, COMMIT)).toBeUndefined();
    const writing = store.place(fileOf('b', bytes), 'main').openSink(quiet);
    await expect(writing).rejects.toMatchObject({ name: 'XetError' });
  });
});
