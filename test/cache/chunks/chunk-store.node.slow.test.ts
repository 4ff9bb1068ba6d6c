import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  appendFile,
  lstat,
  mkdir,
  mkdtemp,
  open as openFile,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { coalesceRuns } from '../../../src/cache/chunks/batches.ts';
import { openFolderChunkStore } from '../../../src/cache/chunks/chunk-store.node.ts';
import type { ChunkStore } from '../../../src/cache/chunks/chunk-store.ts';
import { loadCodec } from '../../../src/codec/load.node.ts';
import { joinBytes } from '../../../src/core/chunks.ts';
import { randomNumbers, SampleXorbs, sampleHash } from '../../support/chunk-samples.ts';
import { chunkStoreContract } from '../../support/chunk-store-contract.ts';
import { bytesIn, filesIn } from '../../support/folder.ts';
import { holds } from '../../support/property.ts';

const KB = 1024;
const xorbs = new SampleXorbs();

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-chunks-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const open = (folder: string, maxBytes = 1024 * KB * KB) =>
  openFolderChunkStore(folder, { maxBytes, hash: sampleHash });
const put = (store: ChunkStore, xorb: number, start: number, end: number) =>
  store.put(xorbs.name(xorb), xorbs.run(xorb, { start, end }));

/** Reads all that is found of a xorb: nothing of it may be wrong. Gives how many chunks there were. */
async function readAll(store: ChunkStore, xorb: number): Promise<number> {
  let chunks = 0;
  for (const { start, end } of await store.find(xorbs.name(xorb), { start: 0, end: 200 })) {
    for (let at = start; at < end; ) {
      const run = await store.read(xorbs.name(xorb), { start: at, end });
      if (run) expect(xorbs.wrongIn(xorb, run)).toBeUndefined();
      chunks += run ? run.chunks.end - run.chunks.start : 0;
      at = run?.chunks.end ?? at + 1;
    }
  }
  return chunks;
}

/** All files but the one that says who wrote them. */
const entriesIn = async (folder: string) =>
  (await filesIn(folder)).filter((path) => path !== join(folder, 'v1', 'writer')).sort();

async function onlyFile(folder: string): Promise<string> {
  const files = await entriesIn(folder);
  expect(files).toHaveLength(1);
  return files[0]!;
}

describe('chunks in files', () => {
  chunkStoreContract(
    {
      shared: true,
      place: async () => {
        const folder = await scratch();
        return { open: async (options) => openFolderChunkStore(folder, options), measure: () => bytesIn(folder) };
      },
    },
    { test, equal: (found, expected, note) => expect(found, note).toEqual(expected) },
  );

  test('nothing is made before the first put', async () => {
    const folder = join(await scratch(), 'deep', 'down');
    const store = open(folder);
    await store.find(xorbs.name(1), { start: 0, end: 5 });
    await store.read(xorbs.name(1), { start: 0, end: 5 });
    await store.usage();
    await store.clear();
    await expect(lstat(folder)).rejects.toThrow('ENOENT');
    await put(store, 1, 0, 5);
    expect(await readAll(store, 1)).toBe(5);
  });

  test('counts at least what the files take', async () => {
    const folder = await scratch();
    const store = open(folder);
    for (let xorb = 0; xorb < 30; xorb++) await put(store, xorb, 0, 1 + (xorb % 7));
    expect((await store.usage()).bytes).toBeGreaterThanOrEqual(await bytesIn(folder));
  });
});

describe('runs that are put while others are written', () => {
  test('become few files, whatever their order, and all of them are given', async () => {
    const folder = await scratch();
    const store = open(folder);
    const puts: Promise<unknown>[] = [];
    for (let start = 0; start < 60; start += 3) {
      for (const xorb of [1, 2]) puts.push(put(store, xorb, (start * 7) % 60, ((start * 7) % 60) + 3));
    }
    await Promise.all(puts);
    expect([await readAll(store, 1), await readAll(store, 2)]).toEqual([60, 60]);
    // The first went alone; of the others each xorb has one in front of it, and one behind.
    expect((await entriesIn(folder)).length).toBeLessThanOrEqual(4);
  });

  test('are kept without what is there already', async () => {
    const folder = await scratch();
    await put(open(folder), 1, 10, 20);
    const store = open(folder);
    await Promise.all([put(store, 2, 0, 1), put(store, 1, 0, 15), put(store, 1, 15, 30), put(store, 1, 0, 30)]);
    expect(await readAll(store, 1)).toBe(30);
    expect(await entriesIn(folder)).toHaveLength(4);
  });

  test('are no longer together than a read may be', async () => {
    const large = new SampleXorbs(60_000, 70_000);
    const folder = await scratch();
    const store = open(folder);
    const runs = Array.from({ length: 30 }, (_, index) => ({ start: 4 * index, end: 4 * index + 4 }));
    await Promise.all(runs.map((chunks) => store.put(large.name(1), large.run(1, chunks))));
    const files = await Promise.all((await entriesIn(folder)).map(async (path) => (await stat(path)).size));
    expect(files.length).toBeLessThan(8);
    expect(Math.max(...files)).toBeLessThanOrEqual(2 * 1024 * 1024 + 4096);
  });
});

test('coalesced entries hold every run once, in order, and only runs that continue each other', () => {
  const arbitrary = fc.array(fc.tuple(fc.nat(2), fc.nat(12), fc.integer({ min: 1, max: 4 })), { maxLength: 24 });
  holds(300, fc.tuple(arbitrary, fc.integer({ min: 1, max: 9000 })), ([given, mostBytes]) => {
    const waiting = given.map(([xorb, start, count]) => ({
      xorb: xorbs.name(xorb),
      run: xorbs.run(xorb, { start, end: start + count }),
    }));
    const entries = coalesceRuns(waiting, mostBytes);
    const pieces = entries.flatMap((entry) => entry.pieces);
    expect(new Set(pieces)).toEqual(new Set(waiting.map(({ run }) => run.bytes)));
    expect(pieces).toHaveLength(waiting.length);
    for (const { xorb, chunks, records, pieces: own } of entries) {
      for (const piece of own) expect(waiting.find(({ run }) => run.bytes === piece)?.xorb).toBe(xorb);
      const bytes = joinBytes(own);
      expect(xorbs.wrongIn(Number.parseInt(xorb.slice(0, 2), 16), { chunks, records, bytes })).toBeUndefined();
      expect(bytes.length <= mostBytes || own.length === 1).toBe(true);
    }
  });
});

test('a folder that cannot be listed for a moment is not remembered as empty', async () => {
  const [folder, link] = [await scratch(), join(await scratch(), 'link')];
  const writer = open(folder);
  await put(writer, 1, 0, 8);
  await symlink('x'.repeat(300), link);
  const reader = open(link);
  expect(await readAll(reader, 1)).toBe(0);
  await rm(link);
  await symlink(folder, link);
  expect(await readAll(reader, 1)).toBe(8);
});

describe('whatever happens to the files', () => {
  const damages: [string, (path: string) => Promise<unknown>][] = [
    ['it is empty', (path) => truncate(path, 0)],
    ['it is cut in the header', (path) => truncate(path, 20)],
    ['it is cut in the records', (path) => truncate(path, 100)],
    ['it is cut in the bytes', async (path) => truncate(path, (await stat(path)).size - 1)],
    ['something is appended', (path) => appendFile(path, 'x')],
    ['it is of the same length, and all zeros', async (path) => writeFile(path, Buffer.alloc((await stat(path)).size))],
    ['it is something else', (path) => writeFile(path, 'Lorem ipsum '.repeat(1000))],
    ['it is huge, and empty inside', (path) => truncate(path, 2 ** 40)],
    ['it is of a later version', (path) => patch(path, 8, [2, 0, 0, 0])],
    ['it says that it has other chunks', (path) => patch(path, 16, [9, 0, 0, 0])],
    ['a chunk is said to be four gigabytes long', (path) => patch(path, 56 + 32, [0xff, 0xff, 0xff, 0xff])],
  ];

  test.each(damages)('%s: it is not given, and dropped', async (_, damage) => {
    const folder = await scratch();
    const store = open(folder);
    await put(store, 1, 0, 8);
    const path = await onlyFile(folder);
    await damage(path);
    expect(await store.read(xorbs.name(1), { start: 0, end: 8 })).toBeUndefined();
    await expect(lstat(path)).rejects.toThrow('ENOENT');
    await put(store, 1, 0, 8);
    expect(await readAll(store, 1)).toBe(8);
  });

  test('a file that got the name of another is not believed', async () => {
    const folder = await scratch();
    await put(open(folder), 1, 0, 8);
    const path = await onlyFile(folder);
    const [first, other] = [basename(path), xorbs.name(2)];
    for (const name of [first.replace('-0-8', '-1-9'), first.replace('-0-8', '-0-7'), `${other}-0-8`]) {
      const renamed = join(dirname(path), '..', name.slice(0, 2), name);
      await mkdir(dirname(renamed), { recursive: true });
      await rename(path, renamed);
      // One that has looked before believes for a moment that there is nothing.
      const store = open(folder);
      for (const xorb of [1, 2]) expect(await readAll(store, xorb)).toBe(0);
      expect(await entriesIn(folder)).toEqual([]);
      await put(store, 1, 0, 8);
    }
  });

  test('of a file that is damaged late, what comes before is given once', async () => {
    const folder = await scratch();
    const store = open(folder);
    await put(store, 1, 0, 8);
    const path = await onlyFile(folder);
    await patch(path, (await stat(path)).size - 1, [0]);
    await patch(path, (await stat(path)).size - 2, [0]);
    const run = await store.read(xorbs.name(1), { start: 3, end: 8 });
    expect(run?.chunks).toEqual({ start: 3, end: 7 });
    expect(xorbs.wrongIn(1, run!)).toBeUndefined();
    expect(await entriesIn(folder)).toEqual([]);
  });

  test('where two have a chunk and one is damaged, the other gives it', async () => {
    const folder = await scratch();
    const store = open(folder);
    await put(store, 1, 0, 8);
    const long = await onlyFile(folder);
    const aside = join(folder, 'aside');
    await rename(long, aside);
    await put(store, 1, 2, 4);
    await rename(aside, long);
    await truncate(long, 100);
    expect((await store.read(xorbs.name(1), { start: 2, end: 8 }))?.chunks).toEqual({ start: 2, end: 4 });
  });

  test('what is not ours is left alone, and harms nothing', async () => {
    const folder = await scratch();
    const store = open(folder);
    await put(store, 1, 0, 8);
    const path = await onlyFile(folder);
    const [shelf, root] = [dirname(path), dirname(dirname(path))];
    const name = (range: string) => join(shelf, `${xorbs.name(1)}-${range}`);
    await mkdir(name('20-30'));
    await symlink(path, name('30-38'));
    await promisify(execFile)('mkfifo', [name('40-50')]);
    const foreign = [
      join(shelf, 'notes.txt'),
      join(shelf, '.DS_Store'),
      name('0-08'),
      name('5-5'),
      name('9-3'),
      name('0-99999'),
      name('0-3.part'),
      join(root, 'README'),
      join(root, 'ff'),
      join(folder, 'v2'),
      join(root, 'writing', 'notes.txt'),
    ];
    for (const file of foreign) await writeFile(file, 'not a chunk');
    expect(await store.find(xorbs.name(1), { start: 0, end: 100 })).toEqual([{ start: 0, end: 8 }]);
    expect(await readAll(store, 1)).toBe(8);
    // A folder has the name of one, and a file that of a folder: neither can be kept, and the rest goes on.
    await put(store, 1, 20, 30);
    await put(store, 255, 0, 3);
    expect(await readAll(store, 255)).toBe(0);
    await put(store, 1, 60, 70);
    expect(await store.find(xorbs.name(1), { start: 0, end: 100 })).toEqual([
      { start: 0, end: 8 },
      { start: 60, end: 70 },
    ]);
    await store.prune(0);
    await store.clear();
    expect((await filesIn(folder)).sort()).toEqual(foreign.sort());
    expect(await store.usage()).toEqual({ bytes: 0, entries: 0 });
  });

  test('a pipe that got the name of an entry between listing and opening is not waited for', async () => {
    const folder = await scratch();
    const store = open(folder);
    await put(store, 1, 0, 8);
    const path = await onlyFile(folder);
    // The listing says what it was when it was made; only opening tells the truth.
    const { loadEntry } = await import('../../../src/cache/chunks/chunk-files.node.ts');
    await rm(path);
    await promisify(execFile)('mkfifo', [path]);
    const entry = { path, start: 0, end: 8 };
    expect(await loadEntry(entry, xorbs.name(1), { start: 0, end: 8 })).toBe('damaged');
    await rm(path);
    await symlink('/etc/hostname', path);
    expect(await loadEntry(entry, xorbs.name(1), { start: 0, end: 8 })).toBe('unreadable');
  });

  test.each([
    ['a pipe', (path: string) => promisify(execFile)('mkfifo', [path])],
    ['a folder', (path: string) => mkdir(join(path, 'deep'), { recursive: true })],
    ['empty', (path: string) => writeFile(path, '')],
    ['something else', (path: string) => writeFile(path, 'x'.repeat(100))],
  ])('the file that says who writes is %s', async (_, damage) => {
    const folder = await scratch();
    await mkdir(join(folder, 'v1'));
    await damage(join(folder, 'v1', 'writer'));
    const store = open(folder, 200 * KB);
    for (let xorb = 0; xorb < 20; xorb++) {
      await put(store, xorb, 0, 10);
      expect((await store.usage()).bytes).toBeLessThanOrEqual(200 * KB);
    }
    expect(await readAll(store, 19)).toBe(10);
  });

  test('random damage never gives wrong bytes, and is mended by putting again', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomNumbers(seed);
      const below = (limit: number) => Math.floor(random() * limit);
      const folder = await scratch();
      const store = open(folder);
      for (let turn = 0; turn < 8; turn++) await put(store, below(3), turn * 10, turn * 10 + 1 + below(12));
      const files = await entriesIn(folder);
      for (let turn = 0; turn < 5; turn++) {
        const path = files[below(files.length)]!;
        const bytes = await readFile(path).catch(() => undefined);
        if (!bytes || bytes.length === 0) continue;
        const [at, kind] = [below(bytes.length), below(6)];
        if (kind === 0) await truncate(path, at);
        else if (kind === 1) await rm(path);
        else if (kind === 2)
          await writeFile(
            path,
            bytes.map(() => below(256)),
          );
        else if (kind === 3) await rename(path, files[below(files.length)]!);
        // Two times out of three in the part that says what the rest is.
        else await patch(path, kind === 4 ? at : below(Math.min(200, bytes.length)), [1 << below(8)], true);
      }
      for (let xorb = 0; xorb < 3; xorb++) {
        await readAll(store, xorb);
        await put(store, xorb, 0, 100);
        await readAll(store, xorb);
        await put(store, xorb, 0, 100);
        expect(await readAll(store, xorb)).toBe(100);
      }
    }
  });

  test('the folder goes away in the middle', async () => {
    const folder = join(await scratch(), 'cache');
    const store = open(folder);
    await put(store, 1, 0, 8);
    await rm(folder, { recursive: true });
    expect(await store.read(xorbs.name(1), { start: 0, end: 8 })).toBeUndefined();
    await put(store, 1, 0, 8);
    expect(await readAll(store, 1)).toBe(8);
  });

  test('a file where a folder should be: nothing is kept, and nothing is thrown', async () => {
    const folder = join(await scratch(), 'cache');
    await writeFile(folder, 'in the way');
    const store = open(folder);
    for (let turn = 0; turn < 5; turn++) await put(store, 1, 0, 8);
    expect(await store.find(xorbs.name(1), { start: 0, end: 8 })).toEqual([]);
    expect(await store.read(xorbs.name(1), { start: 0, end: 8 })).toBeUndefined();
    expect(await store.usage()).toEqual({ bytes: 0, entries: 0 });
    await store.clear();
    await store.close();
  });
});

describe('files of writers that died', () => {
  test('are removed when they are old, and counted as long as they are not', async () => {
    const folder = await scratch();
    const store = open(folder);
    await put(store, 1, 0, 3);
    const { bytes } = await store.usage();
    const writing = join(folder, 'v1', 'writing');
    const [young, old] = [join(writing, randomUUID()), join(writing, randomUUID())];
    for (const path of [young, old]) await writeFile(path, new Uint8Array(100 * KB));
    const minutesAgo = new Date(Date.now() - 120_000);
    await utimes(old, minutesAgo, minutesAgo);
    expect((await store.usage()).bytes).toBe(bytes + 100 * KB);
    expect(await filesIn(writing)).toEqual([young]);
    await store.clear();
    expect(await filesIn(folder)).toEqual([]);
  });

  test('are made room for', async () => {
    const folder = await scratch();
    await mkdir(join(folder, 'v1', 'writing'), { recursive: true });
    for (let file = 0; file < 3; file++) {
      await writeFile(join(folder, 'v1', 'writing', randomUUID()), new Uint8Array(100 * KB));
    }
    const store = open(folder, 350 * KB);
    for (let xorb = 0; xorb < 20; xorb++) {
      await put(store, xorb, 0, 10);
      expect(await bytesIn(folder)).toBeLessThanOrEqual(350 * KB);
    }
    expect(await readAll(store, 19)).toBe(10);
  });
});

test('an entry from the future is the first to go', async () => {
  const folder = await scratch();
  const store = open(folder);
  await put(store, 1, 0, 3);
  const path = await onlyFile(folder);
  const nextYear = new Date(Date.now() + 365 * 24 * 3600 * 1000);
  await utimes(path, nextYear, nextYear);
  await put(store, 2, 0, 3);
  const { bytes } = await store.usage();
  await store.prune(bytes - 1);
  expect(await readAll(store, 1)).toBe(0);
  expect(await readAll(store, 2)).toBe(3);
});

test('what another process used since one looked is not among the oldest any more', async () => {
  const folder = await scratch();
  const before = open(folder);
  for (let xorb = 0; xorb < 20; xorb++) await put(before, xorb, 0, 10);
  const files = await entriesIn(folder);
  for (const [age, path] of files.reverse().entries()) {
    const then = new Date(Date.now() - 60_000 - age * 1000);
    await utimes(path, then, then);
  }
  const { bytes } = await before.usage();
  const store = open(folder, bytes);
  await put(store, 30, 0, 10);
  expect(await readAll(store, 0)).toBe(0);
  // The next one to go, as far as the store knows.
  expect(await readAll(open(folder), 2)).toBe(10);
  for (let xorb = 31; xorb < 36; xorb++) await put(store, xorb, 0, 10);
  expect(await readAll(store, 2)).toBe(10);
  for (const xorb of [1, 3, 4]) expect(await readAll(store, xorb)).toBe(0);
});

test('with the hash of the protocol', async () => {
  const codec = await loadCodec();
  const hash = (chunk: Uint8Array) => codec.chunkHash(chunk);
  const folder = await scratch();
  const store = openFolderChunkStore(folder, { maxBytes: 1024 * KB * KB, hash });
  const run = xorbs.run(1, { start: 0, end: 2 });
  const ends = [xorbs.chunk(1, 0).length, run.bytes.length];
  run.records.set(hash(run.bytes.subarray(0, ends[0])), 0);
  run.records.set(hash(run.bytes.subarray(ends[0])), 36);
  await store.put(xorbs.name(1), run);
  expect(await store.read(xorbs.name(1), { start: 0, end: 2 })).toEqual(run);
  await patch(await onlyFile(folder), 56 + 2 * 36 + 10, [1], true);
  expect(await store.read(xorbs.name(1), { start: 0, end: 2 })).toBeUndefined();
});

/** Overwrites bytes of a file, or flips bits in them. */
async function patch(path: string, at: number, values: number[], flip = false): Promise<void> {
  const { size } = await stat(path);
  const handle = await openFile(path, 'r+');
  try {
    for (const [index, value] of values.entries()) {
      const byte = new Uint8Array(1);
      if (at + index >= size) return;
      await handle.read(byte, 0, 1, at + index);
      byte[0] = flip ? byte[0]! ^ value : value;
      await handle.write(byte, 0, 1, at + index);
    }
  } finally {
    await handle.close();
  }
}
