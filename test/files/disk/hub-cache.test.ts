import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { HubCache } from '../../../src/files/disk/hub-cache.node.ts';
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

const FOLDER = 'models--owner--model';
const large = bytesOf('a large file\n');
const small = bytesOf('a small file\n');

async function cacheIn(folder?: string) {
  const at = folder ?? (await scratch());
  const known = new KnownHere();
  return { at, repo: join(at, FOLDER), known, cache: new HubCache(at, known) };
}

afterEach(() => vi.unstubAllEnvs());

describe('a file in the Hub cache folder', () => {
  test('is laid out as Python lays it out', async () => {
    const { at, repo, cache } = await cacheIn();
    const file = fileOf('weights/model.bin', large);
    const { path, wrote } = await fill(cache.place(file, 'main'), large);
    await fill(cache.place(fileOf('config.json', small, { etag: gitSha1Of(small) }), 'refs/pr/1'), small);

    expect(wrote).toBe(true);
    expect(path).toBe(join(repo, 'snapshots', COMMIT, 'weights', 'model.bin'));
    expect(await readlink(path)).toBe(`../../../blobs/${file.etag}`);
    expect(await readlink(join(repo, 'snapshots', COMMIT, 'config.json'))).toBe(`../../blobs/${gitSha1Of(small)}`);
    expect(await readFile(join(repo, 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(await readFile(join(repo, 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(COMMIT);
    expect(await readFile(join(at, 'CACHEDIR.TAG'), 'utf8')).toMatch(/^Signature: 8a477f597d28d172789f06886806bc55\n#/);
    expect(await filesUnder(at)).toEqual(
      [
        'CACHEDIR.TAG',
        join(FOLDER, 'blobs', file.etag),
        join(FOLDER, 'blobs', gitSha1Of(small)),
        join(FOLDER, 'refs', 'main'),
        join(FOLDER, 'refs', 'refs', 'pr', '1'),
        join(FOLDER, 'snapshots', COMMIT, 'config.json'),
        join(FOLDER, 'snapshots', COMMIT, 'weights', 'model.bin'),
      ].sort(),
    );
  });

  test('has the permissions of a new file', async () => {
    const { at, repo, cache } = await cacheIn();
    await fill(cache.place(fileOf('a', large), 'main'), large);
    await writeFile(join(at, 'probe'), '');
    const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
    expect(await modeOf(join(repo, 'blobs', sha256Of(large)))).toBe(await modeOf(join(at, 'probe')));
  });

  test('that is there is linked for another commit and another name, and is not hashed again', async () => {
    const { repo, cache, known } = await cacheIn();
    await fill(cache.place(fileOf('a.bin', large), 'main'), large);
    const blob = join(repo, 'blobs', sha256Of(large));
    const before = (await stat(blob)).atimeMs;
    const place = cache.place(fileOf('b/c.bin', large, { commit: OTHER_COMMIT }), 'main');
    const found = await place.existing(quiet.signal);
    expect(found).toEqual({ localPath: join(repo, 'snapshots', OTHER_COMMIT, 'b', 'c.bin'), verified: 'sha256' });
    expect(await readlink(found!.localPath)).toBe(`../../../blobs/${sha256Of(large)}`);
    expect(await readFile(join(repo, 'refs', 'main'), 'utf8')).toBe(OTHER_COMMIT);
    expect(known.remembered).toHaveLength(1);
    expect((await stat(blob)).atimeMs).toBe(before);
  });

  test('that somebody else put there is hashed once', async () => {
    const { repo, cache, known } = await cacheIn();
    await mkdir(join(repo, 'blobs'), { recursive: true });
    await writeFile(join(repo, 'blobs', gitSha1Of(small)), small);
    const place = cache.place(fileOf('a', small, { etag: gitSha1Of(small), xetHash: 'e'.repeat(64) }), 'main');
    expect((await place.existing(quiet.signal))?.verified).toBe('git-sha1');
    expect((await place.existing(quiet.signal))?.verified).toBe('git-sha1');
    expect(known.remembered).toHaveLength(1);
  });

  test('is not believed when it is another one, and is replaced', async () => {
    const { repo, cache } = await cacheIn();
    const file = fileOf('a.bin', large);
    const { path } = await fill(cache.place(file, 'main'), large);
    const wrong = Uint8Array.from(large, (byte) => byte ^ 1);
    await writeFile(join(repo, 'blobs', file.etag), wrong);
    expect(await cache.place(file, 'main').existing(quiet.signal)).toBeUndefined();
    expect(await fill(cache.place(file, 'main'), large)).toEqual({ path, wrote: true });
    expect(await readFile(path)).toEqual(Buffer.from(large));
    await writeFile(join(repo, 'blobs', file.etag), large.subarray(1));
    expect(await cache.place(file, 'main').existing(quiet.signal)).toBeUndefined();
  });

  test('with a tag that says nothing of its content is fetched anew, unless it is known', async () => {
    const { at, cache } = await cacheIn();
    const file = fileOf('a', large, { etag: 'W-5e8c-2a' });
    await fill(cache.place(file, 'main'), large);
    expect(await cache.place(file, 'main').existing(quiet.signal)).toMatchObject({ verified: 'sha256' });
    expect(await new HubCache(at, new KnownHere()).place(file, 'main').existing(quiet.signal)).toBeUndefined();
  });

  test('is hashed twice at once without getting in the way', async () => {
    const { repo, cache } = await cacheIn();
    await mkdir(join(repo, 'blobs'), { recursive: true });
    await writeFile(join(repo, 'blobs', sha256Of(large)), large);
    const names = ['a', 'b', 'c', 'd', 'e'];
    const found = await Promise.all(
      names.map((name) => cache.place(fileOf(name, large), 'main').existing(quiet.signal)),
    );
    expect(found.map((each) => each?.verified)).toEqual(names.map(() => 'sha256'));
  });

  test('is written once by two that want it at the same time', async () => {
    const { at } = await cacheIn();
    const results = await Promise.all(
      ['a', 'b', 'a', 'c'].map((name) =>
        fill(new HubCache(at, new KnownHere()).place(fileOf(name, large), 'main'), large),
      ),
    );
    expect(results.filter(({ wrote }) => wrote)).toHaveLength(1);
    expect((await filesUnder(at)).filter((path) => path.includes('incomplete'))).toEqual([]);
  });

  test('a hash stops when it is no longer wanted', async () => {
    const { repo, cache } = await cacheIn();
    await mkdir(join(repo, 'blobs'), { recursive: true });
    const long = new Uint8Array(32 * 1024 * 1024);
    await writeFile(join(repo, 'blobs', sha256Of(long)), long);
    const stop = new AbortController();
    const looking = cache.place(fileOf('a', long), 'main').existing(stop.signal);
    setTimeout(() => stop.abort(new Error('enough')), 5);
    await expect(looking).rejects.toThrow('enough');
  });
});

describe('a folder that can only be read', () => {
  test.skipIf(process.getuid?.() === 0)('gives what it has', async () => {
    const { repo, cache } = await cacheIn();
    const file = fileOf('a.bin', large);
    const { path } = await fill(cache.place(file, 'main'), large);
    const folders = ['', 'blobs', 'refs', 'snapshots', join('snapshots', COMMIT)].map((name) => join(repo, name));
    for (const folder of folders) await chmod(folder, 0o555);
    try {
      expect(await cache.place(file, 'other').existing(quiet.signal)).toEqual({ localPath: path, verified: 'sha256' });
      const elsewhere = cache.place(fileOf('b.bin', large), 'main').existing(quiet.signal);
      await expect(elsewhere).rejects.toMatchObject({ code: 'PERMISSION' });
    } finally {
      for (const folder of folders) await chmod(folder, 0o755);
    }
  });

  test('nothing is written where all is right', async () => {
    const { at, repo, cache } = await cacheIn();
    const file = fileOf('a.bin', large);
    await fill(cache.place(file, 'main'), large);
    const look = async () =>
      Promise.all(
        ['', 'blobs', 'refs', 'snapshots', join('snapshots', COMMIT), join('refs', 'main')].map(
          async (name) => (await lstat(join(repo, name))).ctimeMs,
        ),
      );
    const before = await look();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await new HubCache(at, new KnownHere()).place(file, 'main').existing(quiet.signal);
    expect(await look()).toEqual(before);
  });
});

describe('without links', () => {
  test('new content is moved, what is there is copied, and both are found again', async () => {
    vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1');
    const { repo, cache } = await cacheIn();
    const file = fileOf('a.bin', large);
    const { path } = await fill(cache.place(file, 'main'), large);
    expect((await lstat(path)).isFile()).toBe(true);
    expect(await readdir(join(repo, 'blobs'))).toEqual([]);
    expect(await fill(cache.place(file, 'main'), large)).toEqual({ path, wrote: false });

    await writeFile(join(repo, 'blobs', gitSha1Of(small)), small);
    const other = await fill(cache.place(fileOf('b', small, { etag: gitSha1Of(small) }), 'main'), small);
    expect(other.wrote).toBe(false);
    expect((await lstat(other.path)).isFile()).toBe(true);
    expect(await readdir(join(repo, 'blobs'))).toEqual([gitSha1Of(small)]);
  });

  test('a copy is taken where links can be made', async () => {
    const { repo, cache } = await cacheIn();
    const path = join(repo, 'snapshots', COMMIT, 'a.bin');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, large);
    expect(await fill(cache.place(fileOf('a.bin', large), 'main'), large)).toEqual({ path, wrote: false });
    await writeFile(path, small);
    expect(await fill(cache.place(fileOf('a.bin', large), 'main'), large)).toEqual({ path, wrote: true });
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(await readFile(path)).toEqual(Buffer.from(large));
  });
});

describe('links that lead elsewhere', () => {
  test('nothing is written through a folder that leads out of the snapshots', async () => {
    const { repo, cache } = await cacheIn();
    const outside = await scratch();
    await fill(cache.place(fileOf('a.bin', large), 'main'), large);
    await symlink(outside, join(repo, 'snapshots', COMMIT, 'sub'));
    for (const path of ['sub/b.bin', 'sub/deep/er/b.bin']) {
      const placing = fill(cache.place(fileOf(path, large), 'main'), large);
      await expect(placing, path).rejects.toMatchObject({ code: 'CACHE', message: expect.stringContaining('sub') });
    }
    await rm(join(repo, 'snapshots', COMMIT), { recursive: true });
    await symlink(outside, join(repo, 'snapshots', COMMIT));
    await expect(fill(cache.place(fileOf('b.bin', large), 'main'), large)).rejects.toMatchObject({ code: 'CACHE' });
    await cache.noteMissing(REPO, COMMIT, 'x');
    await symlink(outside, join(repo, '.no_exist', COMMIT, 'sub'));
    await cache.noteMissing(REPO, COMMIT, 'sub/x');
    await symlink(outside, join(repo, 'refs', 'feature'));
    await cache.noteCommit(REPO, 'feature/x', COMMIT);
    expect(await readdir(outside)).toEqual([]);
  });

  test('a link in place of a file is replaced, not written through', async () => {
    const { repo, cache } = await cacheIn();
    const outside = join(await scratch(), 'precious');
    await writeFile(outside, 'precious');
    const path = join(repo, 'snapshots', COMMIT, 'a.bin');
    await mkdir(dirname(path), { recursive: true });
    await symlink(outside, path);
    await fill(cache.place(fileOf('a.bin', large), 'main'), large);
    expect(await readFile(outside, 'utf8')).toBe('precious');
    expect(await readFile(path)).toEqual(Buffer.from(large));
  });

  test('a whole repository may be elsewhere', async () => {
    const { repo, cache } = await cacheIn();
    await symlink(await scratch(), repo);
    const { path } = await fill(cache.place(fileOf('sub/a.bin', large), 'main'), large);
    expect(await readFile(path)).toEqual(Buffer.from(large));
  });

  test('a cache folder that was moved still works', async () => {
    const { at, cache } = await cacheIn();
    await fill(cache.place(fileOf('a.bin', large), 'main'), large);
    await rename(at, `${at}-moved`);
    const moved = new HubCache(`${at}-moved`, new KnownHere());
    expect((await moved.place(fileOf('a.bin', large), 'main').existing(quiet.signal))?.verified).toBe('sha256');
    await rename(`${at}-moved`, at);
  });
});

describe('names from servers', () => {
  test.each(['', '..', '../x', 'a/b', 'a\\b', 'a b', '.hidden', 'x.incomplete', 'a'.repeat(200), 'ü', 'a\0'])(
    'the tag %j names no file',
    async (etag) => {
      const { cache } = await cacheIn();
      expect(() => cache.place(fileOf('a', large, { etag }), 'main')).toThrowError(
        expect.objectContaining({ code: 'PROTOCOL' }),
      );
    },
  );

  test.each(['main', '../../etc', 'c'.repeat(39), ''])('%j is no commit', async (commit) => {
    const { cache } = await cacheIn();
    expect(() => cache.place(fileOf('a', large, { commit }), 'main')).toThrowError(
      expect.objectContaining({ code: 'PROTOCOL' }),
    );
    expect(() => cache.folder(REPO, commit)).toThrowError(expect.objectContaining({ code: 'PROTOCOL' }));
    expect(await cache.tree(REPO, commit)).toBeUndefined();
    expect(await cache.find(REPO, commit, 'a')).toBeUndefined();
  });

  test.each(['', '/etc/passwd', '../x', 'a/../../x', 'a//b', './a', 'a\\..\\b', 'C:/x', 'a\0b'])(
    'the path %j is no file',
    async (path) => {
      const { at, cache } = await cacheIn();
      expect(() => cache.place(fileOf(path, large), 'main')).toThrowError(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
      expect(await cache.find(REPO, COMMIT, path)).toBeUndefined();
      expect(await cache.knownMissing(REPO, COMMIT, path)).toBe(false);
      await cache.noteMissing(REPO, COMMIT, path);
      await cache.noteCommit(REPO, path, COMMIT);
      expect((await filesUnder(at)).filter((file) => !file.includes('snapshots'))).toEqual([]);
    },
  );
});

describe('what is remembered', () => {
  test('commits', async () => {
    const { repo, cache } = await cacheIn();
    expect(await cache.commitOf(REPO, 'main')).toBeUndefined();
    expect(await cache.commitOf(REPO, COMMIT)).toBe(COMMIT);
    await cache.noteCommit(REPO, 'main', COMMIT);
    await cache.noteCommit(REPO, 'refs/pr/1', OTHER_COMMIT);
    await cache.noteCommit(REPO, COMMIT, COMMIT);
    expect(await cache.commitOf(REPO, 'main')).toBe(COMMIT);
    expect(await cache.commitOf(REPO, 'refs/pr/1')).toBe(OTHER_COMMIT);
    expect(await filesUnder(join(repo, 'refs'))).toEqual(['main', join('refs', 'pr', '1')]);
    // Python counts a ref without a snapshot as damage.
    expect((await readdir(join(repo, 'snapshots'))).sort()).toEqual([COMMIT, OTHER_COMMIT]);
    await writeFile(join(repo, 'refs', 'main'), '../../etc');
    expect(await cache.commitOf(REPO, 'main')).toBeUndefined();
  });

  test('a ref that is right is not written again', async () => {
    const { repo, cache } = await cacheIn();
    await cache.noteCommit(REPO, 'main', COMMIT);
    const long = new Date(2001, 1);
    await utimes(join(repo, 'refs', 'main'), long, long);
    await cache.noteCommit(REPO, 'main', COMMIT);
    expect((await stat(join(repo, 'refs', 'main'))).mtimeMs).toBe(long.getTime());
  });

  test('files that are missing', async () => {
    const { repo, cache } = await cacheIn();
    expect(await cache.knownMissing(REPO, COMMIT, 'sub/a.json')).toBe(false);
    await cache.noteMissing(REPO, COMMIT, 'sub/a.json');
    await cache.noteMissing(REPO, COMMIT, 'sub/a.json');
    expect(await cache.knownMissing(REPO, COMMIT, 'sub/a.json')).toBe(true);
    expect(await cache.knownMissing(REPO, OTHER_COMMIT, 'sub/a.json')).toBe(false);
    expect((await stat(join(repo, '.no_exist', COMMIT, 'sub', 'a.json'))).size).toBe(0);
    await cache.noteTree(REPO, OTHER_COMMIT, [entryOf('a', small)]);
    expect(await cache.knownMissing(REPO, OTHER_COMMIT, 'a')).toBe(false);
    expect(await cache.knownMissing(REPO, OTHER_COMMIT, 'b')).toBe(true);
  });

  test('files that are here', async () => {
    const { repo, cache } = await cacheIn();
    const { path } = await fill(cache.place(fileOf('sub/a', large), 'main'), large);
    expect(await cache.find(REPO, COMMIT, 'sub/a')).toEqual({
      localPath: path,
      size: large.length,
      etag: sha256Of(large),
    });
    expect(await cache.find(REPO, COMMIT, 'sub')).toBeUndefined();
    expect(await cache.find(REPO, COMMIT, 'a')).toBeUndefined();
    // Of a copy only a listing knows what it is.
    const copy = join(repo, 'snapshots', COMMIT, 'copy');
    await writeFile(copy, small);
    expect(await cache.find(REPO, COMMIT, 'copy')).toEqual({ localPath: copy, size: small.length, etag: '' });
    await cache.noteTree(REPO, COMMIT, [entryOf('copy', small)]);
    expect(await cache.find(REPO, COMMIT, 'copy')).toMatchObject({ etag: gitSha1Of(small) });
    await unlink(join(repo, 'blobs', sha256Of(large)));
    expect(await cache.find(REPO, COMMIT, 'sub/a')).toBeUndefined();
  });

  test('nothing of it fails when it cannot be written', async () => {
    const { at, cache } = await cacheIn();
    await writeFile(join(at, FOLDER), 'in the way');
    await cache.noteCommit(REPO, 'main', COMMIT);
    await cache.noteMissing(REPO, COMMIT, 'a');
    await cache.noteTree(REPO, COMMIT, [entryOf('a', small)]);
    expect(await cache.commitOf(REPO, 'main')).toBeUndefined();
    expect(await cache.tree(REPO, COMMIT)).toBeUndefined();
    expect(await cache.knownMissing(REPO, COMMIT, 'a')).toBe(false);
  });
});
