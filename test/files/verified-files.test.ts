import {
  appendFile,
  chmod,
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join, relative } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { memoryVerifiedFiles } from '../../src/files/verified-files.memory.ts';
import { openVerifiedFiles } from '../../src/files/verified-files.node.ts';
import type { SnapshotsSeen, VerifiedFiles } from '../../src/files/verified-files.ts';
import { withSum } from '../../src/fs/checked-json.node.ts';
import { hashOf, numbers } from '../support/recipe-samples.ts';
import { scratchFolder } from '../support/scratch.ts';

const ETAG = 'e'.repeat(64);
const XET = hashOf('content');
const content = { etag: ETAG, xetHash: XET, verified: 'xet' } as const;

let folder: string;
let cache: string;
let file: string;
let known: VerifiedFiles;
beforeEach(async () => {
  folder = await realpath(await scratchFolder());
  cache = join(folder, 'cache');
  file = join(folder, 'file.bin');
  known = openVerifiedFiles(cache);
  await writeFile(file, 'some bytes');
});

async function filesUnder(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** The file as it was long ago: nothing about its times is close to now. */
async function age(path: string): Promise<void> {
  const then = new Date(Date.now() - 60_000);
  await utimes(path, then, then);
}

describe('known files', () => {
  test('a file is known by its etag, its path and its content, also to the next one who asks', async () => {
    expect(await known.check(file, ETAG)).toBeUndefined();
    await known.remember(file, content);
    for (const each of [known, openVerifiedFiles(cache)]) {
      expect(await each.check(file, ETAG)).toBe('xet');
      expect(await each.check(file, 'f'.repeat(64))).toBeUndefined();
      const { size } = await stat(file);
      expect([await each.check(file, ETAG, size), await each.check(file, ETAG, size + 1)]).toEqual(['xet', undefined]);
      expect(await each.pathsOf(XET)).toEqual([file]);
      expect(await each.pathsOf(hashOf('other'))).toEqual([]);
    }
    expect(await openVerifiedFiles(join(folder, 'elsewhere')).check(file, ETAG)).toBeUndefined();
    expect(await readFile(file, 'utf8')).toBe('some bytes');
  });

  test('a file without a xet hash, and verified in another way', async () => {
    await known.remember(file, { etag: 'a'.repeat(40), xetHash: undefined, verified: 'git-sha1' });
    expect(await known.check(file, 'a'.repeat(40))).toBe('git-sha1');
    expect(await known.pathsOf(XET)).toEqual([]);
  });

  test('is found by a relative path and through links', async () => {
    await mkdir(join(folder, 'snapshots'));
    const pointer = join(folder, 'snapshots', 'pointer');
    await symlink(join('..', 'file.bin'), pointer);
    await symlink(folder, join(folder, 'again'));
    await known.remember(pointer, content);
    const ways = [file, pointer, join(folder, 'again', 'file.bin'), relative(process.cwd(), file)];
    for (const way of ways) expect(await known.check(way, ETAG), way).toBe('xet');
    expect(await known.pathsOf(XET)).toEqual([file]);
    const other = join(folder, 'other.bin');
    await writeFile(other, 'some other');
    await rm(pointer);
    await symlink(other, pointer);
    expect(await known.check(pointer, ETAG)).toBeUndefined();
  });

  test('several files with the same content', async () => {
    const second = join(folder, 'second.bin');
    await copyFile(file, second);
    for (const path of [file, second]) await known.remember(path, content);
    expect((await known.pathsOf(XET)).sort()).toEqual([file, second].sort());
    await known.forget(file);
    expect(await known.pathsOf(XET)).toEqual([second]);
    expect(await known.check(file, ETAG)).toBeUndefined();
    expect(await known.check(second, ETAG)).toBe('xet');
    await known.clear();
    expect(await known.pathsOf(XET)).toEqual([]);
    expect(await filesUnder(cache)).toEqual([]);
  });

  test.each<[string, (path: string) => Promise<void>]>([
    ['appended to', (path) => appendFile(path, 'x')],
    ['overwritten with as many bytes', (path) => writeFile(path, 'SOME BYTES')],
    [
      'replaced',
      async (path) => {
        await writeFile(`${path}.new`, 'SOME BYTES');
        await rename(`${path}.new`, path);
      },
    ],
    [
      'overwritten, and its time put back',
      async (path) => {
        const { atime, mtime } = await stat(path);
        await writeFile(path, 'SOME BYTES');
        await utimes(path, atime, mtime);
      },
    ],
    ['deleted', (path) => rm(path)],
    [
      'replaced by a folder',
      async (path) => {
        await rm(path);
        await mkdir(path);
      },
    ],
    [
      'replaced by a link to its copy',
      async (path) => {
        await rename(path, `${path}.old`);
        await symlink(`${path}.old`, path);
      },
    ],
  ])('a file that was %s is not known', async (_, change) => {
    for (const old of [false, true]) {
      await rm(file, { recursive: true, force: true });
      await writeFile(file, 'some bytes');
      if (old) await age(file);
      await known.remember(file, content);
      expect(await known.check(file, ETAG)).toBe('xet');
      await change(file);
      expect(await known.check(file, ETAG)).toBeUndefined();
      expect(await known.pathsOf(XET)).toEqual([]);
      // And nothing of it is left.
      expect((await filesUnder(cache)).filter((path) => path.includes(XET))).toEqual([]);
    }
  });

  test('a change right after remembering shows, however short the time between', async () => {
    const handle = await open(file, 'r+');
    let shown = 0;
    for (let round = 0; round < 300; round++) {
      await handle.write('some bytes', 0);
      await known.remember(file, content);
      await handle.write('SOME', 0);
      if ((await known.check(file, ETAG)) === undefined) shown++;
    }
    await handle.close();
    expect(shown).toBe(300);
  });

  test('a fresh file loses some microseconds of its age, an old one is not touched', async () => {
    const before = await stat(file, { bigint: true });
    await known.remember(file, content);
    const after = await stat(file, { bigint: true });
    expect(before.mtimeNs - after.mtimeNs).toBeGreaterThan(0n);
    expect(before.mtimeNs - after.mtimeNs).toBeLessThan(100_000n);
    await age(file);
    const old = await stat(file, { bigint: true });
    await known.remember(file, content);
    const still = await stat(file, { bigint: true });
    expect([still.mtimeNs, still.ctimeNs]).toEqual([old.mtimeNs, old.ctimeNs]);
    expect(await known.check(file, ETAG)).toBe('xet');
  });

  test('remembered again with other content, it is a source of that alone', async () => {
    await known.remember(file, content);
    await writeFile(file, 'new bytes');
    await known.remember(file, { etag: 'f'.repeat(64), xetHash: hashOf('new'), verified: 'sha256' });
    expect(await known.pathsOf(XET)).toEqual([]);
    expect(await known.pathsOf(hashOf('new'))).toEqual([file]);
    expect(await known.check(file, 'f'.repeat(64))).toBe('sha256');
    expect((await filesUnder(cache)).length).toBe(2);
  });

  test('what cannot be remembered is no error', async () => {
    await known.remember(join(folder, 'nowhere'), content);
    await known.remember(folder, content);
    const inFile = openVerifiedFiles(join(file, 'cache'));
    await inFile.remember(file, content);
    expect(await inFile.check(file, ETAG)).toBeUndefined();
    expect(await inFile.pathsOf(XET)).toEqual([]);
    await inFile.forget(file);
    await known.forget(join(folder, 'nowhere'));
    expect(await known.pathsOf('../../etc')).toEqual([]);
    expect(await known.check('', ETAG)).toBeUndefined();
  });

  test('a file that is gone can be forgotten', async () => {
    await known.remember(file, content);
    await rm(file);
    await known.forget(file);
    expect(await filesUnder(cache)).toEqual([]);
  });

  test('a damaged stamp is none', async () => {
    const next = numbers(3);
    for (let round = 0; round < 200; round++) {
      await known.remember(file, content);
      const [stamp] = (await filesUnder(join(cache, 'v1', 'files'))) as [string];
      const bytes = new Uint8Array(await readFile(stamp));
      if (round % 4 === 0) await writeFile(stamp, bytes.subarray(0, next() % bytes.length));
      else {
        const at = next() % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (next() % 8));
        await writeFile(stamp, bytes);
      }
      expect(await known.check(file, ETAG), `round ${round}`).toBeUndefined();
      expect(await known.pathsOf(XET), `round ${round}`).toEqual([]);
    }
    await known.remember(file, content);
    expect(await known.check(file, ETAG)).toBe('xet');
    expect(await known.pathsOf(XET)).toEqual([file]);
  });

  test('stamps of another file under its name are none', async () => {
    const other = join(folder, 'other.bin');
    await writeFile(other, 'other bytes');
    await known.remember(other, content);
    const [stamp] = (await filesUnder(join(cache, 'v1', 'files'))) as [string];
    const bytes = await readFile(stamp);
    await known.clear();
    await known.remember(file, content);
    const [mine] = (await filesUnder(join(cache, 'v1', 'files'))) as [string];
    await writeFile(mine, bytes);
    expect(await known.check(file, ETAG)).toBeUndefined();
  });

  test('files that nobody may see for now stay remembered', async (context) => {
    const locked = join(folder, 'locked');
    await mkdir(locked);
    await writeFile(join(locked, 'file'), 'x');
    await known.remember(join(locked, 'file'), content);
    await chmod(locked, 0);
    const visible = await stat(join(locked, 'file')).then(
      () => true,
      () => false,
    );
    if (visible) {
      await chmod(locked, 0o700);
      context.skip('this user may see everything');
    }
    expect(await known.pathsOf(XET)).toEqual([]);
    await chmod(locked, 0o700);
    expect(await known.pathsOf(XET)).toEqual([join(locked, 'file')]);
  });

  test('hard links are remembered each by its own name', async () => {
    await age(file);
    await link(file, join(folder, 'hard'));
    for (const path of [file, join(folder, 'hard')]) await known.remember(path, content);
    for (const path of [file, join(folder, 'hard')]) expect(await known.check(path, ETAG)).toBe('xet');
  });

  test('many at once', async () => {
    const paths = Array.from({ length: 100 }, (_, index) => join(folder, `file-${index}`));
    await Promise.all(paths.map((path) => writeFile(path, path)));
    await Promise.all(
      paths.map((path, index) => openVerifiedFiles(cache).remember(path, { ...content, etag: `${index}` })),
    );
    const found = await Promise.all(paths.map((path, index) => known.check(path, `${index}`)));
    expect(found).toEqual(paths.map(() => 'xet'));
    expect((await known.pathsOf(XET)).sort()).toEqual([...paths].sort());
  });
});

describe('what the files of a snapshot looked like', () => {
  const COMMIT = 'c'.repeat(40);
  const seenOf = (of: VerifiedFiles): SnapshotsSeen => {
    if (!of.snapshots) throw new Error('Nothing is noted of snapshots');
    return of.snapshots;
  };
  const lookOf = async (path: string, of = known) => {
    const look = await seenOf(of).look(path, ETAG);
    if (!look) throw new Error(`Nobody knows what ${path} looked like`);
    return look;
  };

  test('is known to who remembered or checked a file, under this name or its true one', async () => {
    const name = join(folder, 'link');
    await symlink(file, name);
    await known.remember(name, content);
    const look = await lookOf(name);
    expect(look).toMatchObject({ etag: ETAG, verified: 'xet', size: 10 });
    expect(await lookOf(file)).toEqual(look);
    expect(await seenOf(known).look(file, 'f'.repeat(64))).toBeUndefined();
    const next = openVerifiedFiles(cache);
    expect(await seenOf(next).look(name, ETAG)).toBeUndefined();
    await next.check(name, ETAG);
    expect(await lookOf(file, next)).toEqual(look);
    await next.forget(name);
    expect(await seenOf(next).look(name, ETAG)).toBeUndefined();
  });

  test.each<[string, (path: string) => Promise<unknown>]>([
    ['written to, to the same length', (path) => writeFile(path, 'some other', { flag: 'r+' })],
    ['made longer', (path) => appendFile(path, '!')],
    ['removed', (path) => rm(path)],
    [
      'replaced by another one with its times',
      async (path) => {
        const { atime, mtime } = await stat(path);
        await writeFile(`${path}.new`, 'some bytez');
        await utimes(`${path}.new`, atime, mtime);
        await rename(`${path}.new`, path);
      },
    ],
    [
      'written to, and given its time back',
      async (path) => {
        const { atime, mtime } = await stat(path);
        await writeFile(path, 'some bytez', { flag: 'r+' });
        await utimes(path, atime, mtime);
      },
    ],
  ])('is not what a file looks like that was %s', async (_, change) => {
    await age(file);
    await known.remember(file, content);
    const look = await lookOf(file);
    expect(await seenOf(known).isSame(file, look)).toBe(true);
    await change(file);
    expect(await seenOf(known).isSame(file, look)).toBe(false);
  });

  test('is noted for a folder and a commit', async () => {
    await known.remember(file, content);
    const files = new Map([
      ['a', await lookOf(file)],
      ['__proto__', { ...(await lookOf(file)), verified: 'git-sha1' as const }],
    ]);
    const before = (await known.usage()).bytes;
    await seenOf(known).write('/root', COMMIT, files);
    expect(await seenOf(openVerifiedFiles(cache)).read('/root', COMMIT)).toEqual(files);
    expect(await seenOf(known).read('/root', 'd'.repeat(40))).toBeUndefined();
    expect(await seenOf(known).read('/other', COMMIT)).toBeUndefined();
    expect((await known.usage()).bytes).toBeGreaterThan(before);
    // Who finds that a file is not what it was said to be trusts none of it any more.
    await known.forget(file);
    expect(await seenOf(known).read('/root', COMMIT)).toBeUndefined();
    await seenOf(known).write('/root', COMMIT, files);
    await known.clear();
    expect(await seenOf(known).read('/root', COMMIT)).toBeUndefined();
    expect(await known.usage()).toEqual({ bytes: 0, files: 0 });
  });

  test('is not believed where it is damaged', async () => {
    await known.remember(file, content);
    const files = new Map([['a', await lookOf(file)]]);
    await seenOf(known).write('/root', COMMIT, files);
    const [note] = (await filesUnder(join(cache, 'v1', 'snapshots'))) as [string];
    const bytes = await readFile(note);
    for (let at = 0; at < bytes.length; at += 3) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      await writeFile(note, damaged);
      expect(await seenOf(known).read('/root', COMMIT), `byte ${at}`).toBeUndefined();
    }
    for (const json of ['{}', '[]', '{"root":"/root","commit":"c","files":[]}']) {
      await writeFile(note, withSum(json));
      expect(await seenOf(known).read('/root', COMMIT)).toBeUndefined();
    }
    const rows = [['a'], ['a', -1, '1', '1', '1', 'xet'], ['a', 1, 1, '1', '1', 'xet'], ['a', 1, '1', '1', '1', 'no']];
    for (const row of rows) {
      await writeFile(note, withSum(JSON.stringify({ root: '/root', commit: COMMIT, files: { a: row } })));
      expect(await seenOf(known).read('/root', COMMIT)).toBeUndefined();
    }
  });

  test('is forgotten when nobody has noted it for a season', async () => {
    await known.remember(file, content);
    const files = new Map([['a', await lookOf(file)]]);
    await seenOf(known).write('/old', COMMIT, files);
    const [note] = (await filesUnder(join(cache, 'v1', 'snapshots'))) as [string];
    const then = new Date(Date.now() - 100 * 24 * 3600 * 1000);
    await utimes(note, then, then);
    await seenOf(openVerifiedFiles(cache)).write('/new', COMMIT, files);
    expect(await seenOf(known).read('/old', COMMIT)).toBeUndefined();
    expect(await seenOf(known).read('/new', COMMIT)).toEqual(files);
  });
});

test('without a file system nothing is known', async () => {
  const nothing = memoryVerifiedFiles();
  await nothing.remember('/file', content);
  expect(await nothing.check('/file', ETAG)).toBeUndefined();
  expect(await nothing.pathsOf(XET)).toEqual([]);
  await nothing.forget('/file');
  await nothing.clear();
});
