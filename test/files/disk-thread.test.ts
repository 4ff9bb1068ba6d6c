import { setMaxListeners } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openFolderRecipeStore } from '../../src/cache/recipes/recipe-store.node.ts';
import { MemoryBudget } from '../../src/core/budget.ts';
import { isXetError } from '../../src/core/errors.ts';
import { openRepoStore } from '../../src/files/disk/repo-store.node.ts';
import { DiskThread } from '../../src/files/disk-thread.node.ts';
import { commitFilesOf } from '../../src/files/place.ts';
import { openVerifiedFiles } from '../../src/files/verified-files.node.ts';
import { spawnDiskThread } from '../../workers/spawn.node.ts';
import type { SpawnedWorker } from '../../workers/spawn.ts';
import { filesUnder, scratch } from '../support/hub.ts';
import { bytesOf, COMMIT, fileOf, fill, quiet, REPO } from '../support/stores.ts';

/** The thread as it ships. */
const script = pathToFileURL(join(import.meta.dirname, '../../dist/disk.worker.node.js'));
const MANY = 64;
// As many wait at once; a snapshot gives each file a signal of its own.
setMaxListeners(0, quiet.signal);

/** A store with help, and the threads that were started for it, with the messages that each was sent. */
async function helped({ localDir = false, files = MANY, budget = new MemoryBudget(1e9, 0) } = {}) {
  const folder = await scratch();
  const threads: (SpawnedWorker & { messages: number })[] = [];
  const help = new DiskThread(
    () => {
      const spawned = spawnDiskThread(script);
      const thread = {
        ...spawned,
        messages: 0,
        endpoint: {
          ...spawned.endpoint,
          postMessage: (message: unknown) => {
            thread.messages++;
            spawned.endpoint.postMessage(message);
          },
        },
      };
      threads.push(thread);
      return thread;
    },
    { recipes: join(folder, 'shards'), verifiedFiles: join(folder, 'files') },
    budget,
  );
  onTestFinished(() => help.close());
  const known = openVerifiedFiles(join(folder, 'files'));
  const cacheDir = join(folder, 'hub');
  const store = openRepoStore({ cacheDir, known, help, ...(localDir && { localDir: join(folder, 'out') }) });
  await commitFilesOf(store, REPO, COMMIT, files);
  return { store, help, threads, folder, cacheDir, known };
}

const content = (index: number) => bytesOf(`file ${index}`);
const fileAt = (index: number, more = {}) => fileOf(`folder/${index}.txt`, content(index), more);
const indices = Array.from({ length: MANY }, (_, index) => index);

describe.each([{ localDir: false }, { localDir: true }])('many small files, %o', ({ localDir }) => {
  test('are where they would be without help, and found there again', async () => {
    const { store, threads, folder, cacheDir, known } = await helped({ localDir });
    const written = await Promise.all(indices.map((index) => fill(store.place(fileAt(index), 'main'), content(index))));
    expect(written.every(({ wrote }) => wrote)).toBe(true);
    expect(await Promise.all(written.map(({ path }) => readFile(path, 'utf8')))).toEqual(
      indices.map((index) => `file ${index}`),
    );
    // A question and an answer about all of them, and all of them written: not a message for each.
    expect(threads.map(({ messages }) => messages < 10)).toEqual([true]);

    const alone = openRepoStore({ cacheDir, known, ...(localDir && { localDir: join(folder, 'out') }) });
    for (const index of indices) {
      const found = await alone.find(REPO, COMMIT, `folder/${index}.txt`);
      expect(await store.find(REPO, COMMIT, `folder/${index}.txt`)).toEqual(found);
      expect(found?.size).toBe(content(index).length);
    }
    // They are known, so nothing is written again, and nothing hashed.
    const again = await Promise.all(indices.map((index) => fill(store.place(fileAt(index), 'main'), content(index))));
    expect(again).toEqual(written.map(({ path }) => ({ path, wrote: false })));
    expect(await known.check(written[0]?.path ?? '', fileAt(0).etag)).toBe('sha256');
    expect((await filesUnder(folder)).filter((path) => path.includes('incomplete'))).toEqual([]);
  });
});

test('what is there and wrong is replaced', async () => {
  const { store } = await helped({ localDir: true });
  const { path } = await fill(store.place(fileAt(1), 'main'), content(1));
  await writeFile(path, 'changed');
  expect(await store.place(fileAt(1), 'main').existing(quiet.signal)).toBeUndefined();
  expect(await fill(store.place(fileAt(1), 'main'), content(1))).toEqual({ path, wrote: true });
  expect(await readFile(path, 'utf8')).toBe('file 1');
});

test('how files are built is kept and read there, and known here at once', async () => {
  const { help, folder, threads } = await helped();
  const recipes = openFolderRecipeStore(join(folder, 'shards'), { help });
  const xorb = 'a'.repeat(64);
  const records = new Uint8Array(36);
  records[32] = 5;
  const fileHash = 'b'.repeat(64);
  // Read before, so that what is known here is from before.
  expect(await recipes.filesWith(xorb)).toEqual([]);
  await recipes.put({ fileHash, size: 5, terms: [{ xorb, chunks: { start: 0, end: 1 }, unpackedLength: 5 }], records });
  expect(await recipes.filesWith(xorb)).toEqual([fileHash]);
  expect((await recipes.get(fileHash))?.records).toEqual(records);
  expect(threads[0]?.messages).toBe(2);
});

test('a few files, or a long one, are none of its business', async () => {
  const few = await helped({ files: MANY - 1 });
  await fill(few.store.place(fileAt(1), 'main'), content(1));
  expect(few.threads).toEqual([]);
  const { store, threads } = await helped();
  const long = new Uint8Array(64 * 1024 + 1);
  await fill(store.place(fileOf('long', long), 'main'), long);
  expect(threads.map(({ messages }) => messages)).toEqual([0]);
});

test('what is handed over counts as memory, and goes straight to the disk where there is none left', async () => {
  const budget = new MemoryBudget(100_000, 0);
  const { store, threads } = await helped({ budget });
  const bytes = new Uint8Array(30_000).fill(1);
  const open = (path: string) => store.place(fileOf(path, bytes), 'main').openSink(quiet);
  const held = await open('held');
  expect(budget.usedBytes).toBe(60_000);
  const direct = await open('direct');
  expect(budget.usedBytes).toBe(60_000);
  const before = threads[0]?.messages;
  for (const sink of [direct, held]) {
    await sink.write(0, bytes, new Uint8Array());
    expect(Buffer.compare(await readFile(await sink.publish('sha256')), bytes)).toBe(0);
    await sink.close();
  }
  expect(budget.usedBytes).toBe(0);
  expect((threads[0]?.messages ?? 0) - (before ?? 0)).toBe(1);
});

test('errors say there what they say here', async () => {
  const { store, cacheDir, folder, known } = await helped();
  await writeFile(cacheDir, 'a file where a folder should be');
  const failure = async (place: ReturnType<typeof store.place>) =>
    fill(place, content(1)).then(
      () => undefined,
      (error: unknown) => (isXetError(error) ? { code: error.code, message: error.message } : error),
    );
  const here = await failure(openRepoStore({ cacheDir, known }).place(fileAt(1), 'main'));
  expect(here).toMatchObject({ code: 'CACHE' });
  const there = await failure(store.place(fileAt(1), 'main'));
  expect(there).toMatchObject({
    code: 'CACHE',
    message: expect.stringContaining('A file is where a folder should be'),
  });
  expect(await filesUnder(folder)).toEqual(['hub']);
});

describe('a thread that is lost', () => {
  test('loses nothing: what it was asked for is done here', async () => {
    const { store, threads } = await helped();
    const writing = indices.map((index) => fill(store.place(fileAt(index), 'main'), content(index)));
    await Promise.race(writing);
    threads[0]?.terminate();
    const written = await Promise.all(writing);
    expect(await Promise.all(written.map(({ path }) => readFile(path, 'utf8')))).toEqual(
      indices.map((index) => `file ${index}`),
    );
    await commitFilesOf(store, REPO, COMMIT, MANY);
    expect(threads).toHaveLength(1);
  });

  test('or cannot be started', async () => {
    const folder = await scratch();
    const missing = new DiskThread(
      () => spawnDiskThread(pathToFileURL(join(folder, 'none.js'))),
      { recipes: folder, verifiedFiles: folder },
      new MemoryBudget(1e9, 0),
    );
    const refused = new DiskThread(
      () => {
        throw new Error('no threads here');
      },
      { recipes: folder, verifiedFiles: folder },
      new MemoryBudget(1e9, 0),
    );
    for (const [index, help] of [missing, refused].entries()) {
      const store = openRepoStore({ cacheDir: folder, known: openVerifiedFiles(folder), help });
      await commitFilesOf(store, REPO, COMMIT, MANY);
      expect(await fill(store.place(fileAt(index), 'main'), content(index))).toMatchObject({ wrote: true });
      expect(help.active).toBe(false);
      await help.close();
    }
  });
});

test('closing waits for what was begun', async () => {
  const { store, help } = await helped();
  const writing = indices.map((index) => fill(store.place(fileAt(index), 'main'), content(index)));
  await help.close();
  expect(help.active).toBe(false);
  const written = await Promise.all(writing);
  expect(written).toHaveLength(MANY);
});

test('an abort is told at once', async () => {
  const { store } = await helped();
  const controller = new AbortController();
  const looking = store.place(fileAt(1), 'main').existing(controller.signal);
  controller.abort(new Error('enough'));
  await expect(looking).rejects.toThrow('enough');
  const opening = store.place(fileAt(1), 'main').openSink({ ...quiet, signal: controller.signal });
  await expect(opening).rejects.toThrow('enough');
});
