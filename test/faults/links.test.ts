import {
  access,
  lchown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { openFolderChunkStore } from '../../src/cache/chunks/chunk-store.node.ts';
import { openFolderRecipeStore } from '../../src/cache/recipes/recipe-store.node.ts';
import { HubCache } from '../../src/files/disk/hub-cache.node.ts';
import { LocalDir } from '../../src/files/disk/local-dir.node.ts';
import type { RepoStore } from '../../src/files/place.ts';
import { openVerifiedFiles } from '../../src/files/verified-files.node.ts';
import { carryOut, planPrune, planRemoval } from '../../src/manage/clean.node.ts';
import { scanCache } from '../../src/manage/scan.node.ts';
import { verifyCache } from '../../src/manage/verify.node.ts';
import { filesUnder, scratch } from '../support/hub.ts';
import { hashOf, recipeOf } from '../support/recipe-samples.ts';
import { randomBytes } from '../support/samples.ts';
import { COMMIT, entryOf, fileOf, fill, KnownHere, quiet, REPO } from '../support/stores.ts';

/** A file that is written at once, one with a lock, and one with a lock of the system as well. */
const contents = {
  'sub/small': randomBytes(2000, 1),
  'sub/large': randomBytes(400_000, 2),
  huge: randomBytes(1_200_000, 3),
};
type Path = keyof typeof contents;
const paths = Object.keys(contents) as Path[];
const fileAt = (path: Path) => fileOf(path, contents[path], { xetHash: 'e'.repeat(64) });
const SOMEBODY = 12_345;
const isRoot = process.geteuid?.() === 0;

/** Everything in a folder, with content and times: what nobody may change. */
async function pictureOf(folder: string): Promise<string[]> {
  const lines: string[] = [];
  for (const name of ['.', ...(await readdir(folder, { recursive: true })).sort()]) {
    const found = await lstat(join(folder, name), { bigint: true });
    const content = found.isFile() ? (await readFile(join(folder, name))).toString('base64') : '';
    lines.push(`${name} ${found.mode} ${found.mtimeNs} ${found.ctimeNs} ${content}`);
  }
  return lines;
}

/** Makes a place a link of another user to the same content elsewhere. Gives that place. */
async function plant(path: string, owner = SOMEBODY): Promise<string> {
  const outside = join(await scratch(), 'outside');
  if (
    await access(path).then(
      () => true,
      () => false,
    )
  )
    await rename(path, outside);
  else await mkdir(outside);
  await mkdir(dirname(path), { recursive: true });
  await symlink(outside, path);
  if (isRoot) await lchown(path, owner, owner);
  return outside;
}

/** All that a store does, however it ends: a typed error or none. */
async function useStore(open: () => RepoStore): Promise<void> {
  const outcome = async (step: () => Promise<unknown>) => {
    await step().catch((error: unknown) => expect(error).toMatchObject({ name: 'XetError', code: 'CACHE' }));
  };
  for (const path of paths) {
    await outcome(async () => open().find(REPO, COMMIT, path));
    await outcome(async () => open().earlier({ ...fileAt(path), commit: 'b'.repeat(40) }));
    await outcome(async () => fill(open().place(fileAt(path), 'main'), contents[path]));
    await outcome(async () => open().place(fileAt(path), 'main').existing(quiet.signal));
    await outcome(async () =>
      (
        await open()
          .place(fileAt(path), 'main')
          .openSink({ ...quiet, resume: false })
      ).close(),
    );
    await outcome(async () => open().noteMissing(REPO, COMMIT, `${path}/none`));
    await outcome(async () => open().knownMissing(REPO, COMMIT, `${path}/none`));
  }
  const store = open();
  await outcome(() => store.commitOf(REPO, 'main'));
  await outcome(() => store.noteCommit(REPO, 'main', 'b'.repeat(40)));
  await outcome(() => store.noteCommit(REPO, 'feature/x', COMMIT));
  await outcome(() => store.tree(REPO, COMMIT));
  await outcome(() => store.noteTree(REPO, COMMIT, [entryOf('another', contents.huge)]));
}

async function fillStore(store: RepoStore): Promise<void> {
  for (const path of paths) await fill(store.place(fileAt(path), 'main'), contents[path]);
  await store.noteCommit(REPO, 'main', COMMIT);
  await store.noteTree(
    REPO,
    COMMIT,
    paths.map((path) => entryOf(path, contents[path])),
  );
  await store.noteMissing(REPO, COMMIT, 'none');
}

async function useCommands(cacheDir: string): Promise<void> {
  const known = new KnownHere();
  const now = { graceMs: 0, unlockedGraceMs: 0 };
  await verifyCache(await scanCache(cacheDir), { repair: true, known });
  await carryOut(await planPrune(await scanCache(cacheDir), now));
  const scan = await scanCache(cacheDir);
  await carryOut(
    await planRemoval(
      scan,
      scan.repos.map((repo) => ({ repo })),
    ),
  );
}

const CACHE_FOLDERS = [
  'models--owner--model',
  'models--owner--model/blobs',
  'models--owner--model/snapshots',
  'models--owner--model/refs',
  'models--owner--model/trees',
  'models--owner--model/.no_exist',
  `models--owner--model/snapshots/${COMMIT}`,
  `models--owner--model/snapshots/${COMMIT}/sub`,
  `models--owner--model/.no_exist/${COMMIT}`,
  'models--owner--model/refs/feature',
  '.locks',
  '.locks/models--owner--model',
];

test.runIf(isRoot).each(CACHE_FOLDERS)('nothing is read, written or removed through %s of the cache', async (place) => {
  const cacheDir = await scratch();
  const open = () => new HubCache(cacheDir, new KnownHere());
  await fillStore(open());
  const outside = await plant(join(cacheDir, place));
  // Were it read, it would be found to be wrong, and be repaired.
  for (const name of await filesUnder(outside)) {
    const path = join(outside, name);
    if ((await lstat(path)).isFile() && (await stat(path)).size > 1000) await writeFile(path, randomBytes(2000, 9));
  }
  const before = await pictureOf(outside);
  await useStore(open);
  await useCommands(cacheDir);
  expect(await pictureOf(outside)).toEqual(before);
});

test.runIf(isRoot)('what lies behind the link of another user is not there', async () => {
  for (const place of CACHE_FOLDERS.slice(0, 3)) {
    const cacheDir = await scratch();
    const cache = new HubCache(cacheDir, new KnownHere());
    await fillStore(cache);
    await plant(join(cacheDir, place));
    const found = await cache
      .place(fileAt('huge'), 'main')
      .existing(quiet.signal)
      .catch((error: unknown) => error);
    expect(found === undefined || (found as Error).name === 'XetError', place).toBe(true);
    expect(await cache.find(REPO, COMMIT, 'huge')).toBeUndefined();
  }
  for (const [place, ask] of [
    ['refs', (cache: HubCache) => cache.commitOf(REPO, 'main')],
    ['trees', (cache: HubCache) => cache.tree(REPO, COMMIT)],
  ] as const) {
    const cacheDir = await scratch();
    await fillStore(new HubCache(cacheDir, new KnownHere()));
    expect(await ask(new HubCache(cacheDir, new KnownHere()))).toBeDefined();
    await plant(join(cacheDir, 'models--owner--model', place));
    expect(await ask(new HubCache(cacheDir, new KnownHere()))).toBeUndefined();
  }
});

test.each(['.', ...CACHE_FOLDERS.slice(0, 6)])('%s of the cache may be a link of this user', async (place) => {
  const cacheDir = join(await scratch(), 'hub');
  const open = () => new HubCache(cacheDir, new KnownHere());
  await fillStore(open());
  await plant(join(cacheDir, place), process.geteuid?.() ?? 0);
  for (const path of paths) {
    expect((await fill(open().place(fileAt(path), 'main'), contents[path])).wrote, path).toBe(false);
    await rm(join(cacheDir, 'models--owner--model', 'blobs', fileAt(path).etag));
    expect((await fill(open().place(fileAt(path), 'main'), contents[path])).wrote, path).toBe(true);
  }
  expect(await open().commitOf(REPO, 'main')).toBe(COMMIT);
});

/** Names of files, by the endings of their places. */
async function plantFile(path: string): Promise<{ outside: string; picture: () => Promise<string[]> }> {
  const folder = await scratch();
  const outside = join(folder, 'canary');
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  await writeFile(outside, isThere ? await readFile(path) : 'canary');
  await rm(path, { force: true });
  await mkdir(dirname(path), { recursive: true });
  await symlink(outside, path);
  return { outside, picture: () => pictureOf(folder) };
}

const etag = (path: Path) => fileAt(path).etag;
const CACHE_FILES = [
  ...paths.flatMap((path) => [
    `models--owner--model/blobs/${etag(path)}`,
    `models--owner--model/blobs/${etag(path)}.xetkit.incomplete`,
    `models--owner--model/blobs/${etag(path)}.xetkit-journal.incomplete`,
    `models--owner--model/blobs/${etag(path)}.xetkit-journal.new.incomplete`,
    `models--owner--model/snapshots/${COMMIT}/${path}`,
    `.locks/models--owner--model/${etag(path)}.lock`,
  ]),
  'models--owner--model/refs/main',
  `models--owner--model/trees/${COMMIT}.json`,
  `models--owner--model/.no_exist/${COMMIT}/none`,
  'CACHEDIR.TAG',
];

test.each(CACHE_FILES)('a link in place of %s is not followed, and the download succeeds', async (place) => {
  const cacheDir = await scratch();
  const open = () => new HubCache(cacheDir, new KnownHere());
  await fillStore(open());
  const planted = await plantFile(join(cacheDir, place));
  const before = await planted.picture();
  for (const path of paths) {
    const placed = await fill(open().place(fileAt(path), 'main'), contents[path]);
    expect((await readFile(placed.path)).equals(contents[path])).toBe(true);
    expect(await stat(placed.path, { bigint: true })).not.toMatchObject({
      ino: (await stat(planted.outside, { bigint: true })).ino,
    });
  }
  await useStore(open);
  await useCommands(cacheDir);
  expect(await planted.picture()).toEqual(before);
});

const LOCAL_FOLDERS = [
  'sub',
  '.cache',
  '.cache/huggingface',
  '.cache/huggingface/download',
  '.cache/huggingface/download/sub',
  '.cache/huggingface/trees',
  '.cache/huggingface/xetkit',
];

test.each(LOCAL_FOLDERS)(
  'nothing is read or written through %s of a local folder, whoever made the link',
  async (place) => {
    const folder = await scratch();
    const cacheDir = await scratch();
    const open = () => new LocalDir({ folder, cacheDir, known: new KnownHere() });
    await fillStore(open());
    const outside = await plant(join(folder, place), process.geteuid?.() ?? 0);
    const before = await pictureOf(outside);
    await useStore(open);
    expect(await pictureOf(outside)).toEqual(before);
  },
);

const LOCAL_FILES = [
  ...paths,
  ...paths.map((path) => `.cache/huggingface/download/${path}.metadata`),
  '.cache/huggingface/.gitignore',
];

test.each(LOCAL_FILES)(
  'a link in place of %s of a local folder is not followed, and the download succeeds',
  async (place) => {
    const folder = await scratch();
    const cacheDir = await scratch();
    const open = () => new LocalDir({ folder, cacheDir, known: new KnownHere() });
    await fillStore(open());
    const planted = await plantFile(join(folder, place));
    const before = await planted.picture();
    for (const path of paths) {
      const placed = await fill(open().place(fileAt(path), 'main'), contents[path]);
      expect((await lstat(placed.path)).isFile()).toBe(true);
      expect((await readFile(placed.path)).equals(contents[path])).toBe(true);
    }
    await useStore(open);
    expect(await planted.picture()).toEqual(before);
  },
);

const HASH = hashOf('a xorb');
const STORE_FOLDERS = [
  ...['', '/writing', `/${HASH.slice(0, 2)}`].map((name) => `chunks/v1${name}`),
  ...[
    '',
    '/recipes',
    `/recipes/${hashOf('a file').slice(0, 2)}`,
    '/temporary',
    '/xorbs',
    `/xorbs/${HASH.slice(0, 2)}`,
  ].map((name) => `shards/v1${name}`),
  ...['', '/files', '/marks', '/temporary', '/snapshots'].map((name) => `files/v1${name}`),
];

test.runIf(isRoot).each(STORE_FOLDERS)(
  'nothing is read, written or removed through %s of what xetkit keeps',
  async (place) => {
    const dir = await scratch();
    const file = join(await scratch(), 'file');
    const hash = async (chunk: Uint8Array) => new Uint8Array(32).fill(chunk.length);
    const use = async () => {
      await writeFile(file, randomBytes(100, 1));
      const recipes = openFolderRecipeStore(join(dir, 'shards'));
      const recipe = recipeOf('a file', [['a xorb', 0, 5]]);
      await recipes.get(recipe.fileHash);
      await recipes.put(recipe);
      await recipes.filesWith(HASH);
      for await (const each of recipes.list()) await recipes.get(each.fileHash);
      await recipes.drop(recipe.fileHash);
      await recipes.put(recipe);
      await recipes.close();
      const known = openVerifiedFiles(join(dir, 'files'));
      await known.check(file, 'f'.repeat(64));
      await known.remember(file, { etag: 'f'.repeat(64), xetHash: HASH, verified: 'xet' });
      await known.snapshots?.write('/root', COMMIT, new Map());
      await known.snapshots?.read('/root', COMMIT);
      await known.pathsOf(HASH);
      await known.forget(file);
      await known.usage();
      const chunks = openFolderChunkStore(join(dir, 'chunks'), { maxBytes: 10_000, hash });
      const records = new Uint8Array(36).fill(100, 0, 32);
      new DataView(records.buffer).setUint32(32, 100, true);
      await chunks.put(HASH, { chunks: { start: 0, end: 1 }, records, bytes: randomBytes(100, 2) });
      await chunks.read(HASH, { start: 0, end: 1 });
      await chunks.drop(HASH);
      await chunks.usage();
      await chunks.prune(0);
      await chunks.close();
    };
    await use();
    const outside = await plant(join(dir, place));
    const old = join(outside, '0f2d1a3c-0000-4000-8000-000000000000');
    await mkdir(old);
    await writeFile(join(old, 'thesis'), 'thesis');
    await writeFile(join(outside, '1f2d1a3c-0000-4000-8000-000000000000'), 'thesis');
    for (const name of await readdir(outside)) await utimes(join(outside, name), 1, 1);
    const before = await pictureOf(outside);
    await use();
    for (const clear of [
      () => openFolderRecipeStore(join(dir, 'shards')).clear(),
      () => openVerifiedFiles(join(dir, 'files')).clear(),
      () => openFolderChunkStore(join(dir, 'chunks'), { maxBytes: 10_000, hash }).clear(),
    ]) {
      await clear().catch((error: unknown) => expect(error).toMatchObject({ name: 'XetError' }));
    }
    expect(await pictureOf(outside)).toEqual(before);
  },
);

test('pipes in place of files are not waited for', async () => {
  const { execFileSync } = await import('node:child_process');
  const cacheDir = await scratch();
  const open = () => new HubCache(cacheDir, new KnownHere());
  await fillStore(open());
  const places = CACHE_FILES.filter((place) => !place.includes('/snapshots/') && !place.startsWith('.locks'));
  for (const place of places) {
    await rm(join(cacheDir, place), { force: true });
    execFileSync('mkfifo', [join(cacheDir, place)]);
  }
  for (const path of paths) {
    const placed = await fill(open().place(fileAt(path), 'main'), contents[path]);
    expect((await readFile(placed.path)).equals(contents[path])).toBe(true);
  }
  expect(await open().commitOf(REPO, 'feature')).toBeUndefined();
  await useStore(open);
  expect(relative(cacheDir, open().folder(REPO, COMMIT))).toContain('snapshots');
  await unlink(join(cacheDir, 'CACHEDIR.TAG'));
});
