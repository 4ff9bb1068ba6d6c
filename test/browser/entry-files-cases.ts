import { deleteDB, openDB } from 'idb';
import { openIndexedDbChunkStore } from '../../src/cache/chunks/chunk-store.indexeddb.ts';
import type { ChunkStore } from '../../src/cache/chunks/chunk-store.ts';
import { encodeEntryHead } from '../../src/cache/chunks/entry-format.ts';
import { joinBytes } from '../../src/core/chunks.ts';
import { randomNumbers, SampleXorbs, sampleHash } from '../support/chunk-samples.ts';
import type { ContractHooks } from '../support/chunk-store-contract.ts';
import { readAllOf } from './read-all.ts';

const KB = 1024;
const MB = 1024 * KB;
const ROOMY = 1024 * MB;
const HOUR_MS = 3_600_000;

const xorbs = new SampleXorbs(20 * KB, 64 * KB);

let places = 0;
const freshName = () => `files-${Date.now()}-${++places}`;
const put = (store: ChunkStore, xorb: number, start: number, end: number) =>
  store.put(xorbs.name(xorb), xorbs.run(xorb, { start, end }));

/** The folder in which a store of this name has files. */
async function folderOf(name: string): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(`${name}-v1`, { create: true });
}

async function filesOf(name: string): Promise<string[]> {
  const names: string[] = [];
  for await (const file of (await folderOf(name)).keys()) names.push(file);
  return names.sort();
}

interface Noted {
  bytes: number;
  place?: { file: string; at: number };
}

async function inDatabase(name: string): Promise<{ infos: Noted[]; values: number }> {
  const raw = await openDB(`${name}-chunks-v1`);
  const infos = (await raw.getAll('info')) as Noted[];
  const values = await raw.count('data');
  raw.close();
  return { infos, values };
}

const notedFiles = async (name: string) =>
  [...new Set((await inDatabase(name)).infos.flatMap(({ place }) => place?.file ?? []))].sort();

/** Changes a file by hand; null removes it. */
async function rewrite(
  name: string,
  file: string,
  change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | null,
) {
  const folder = await folderOf(name);
  const handle = await folder.getFileHandle(file);
  const changed = change(new Uint8Array(await (await handle.getFile()).arrayBuffer()));
  if (!changed) return folder.removeEntry(file);
  const stream = await handle.createWritable();
  await stream.write(changed);
  await stream.close();
}

const readAll = (store: ChunkStore, xorb: number) => readAllOf(xorbs, store, xorb);

/** Stores whose bytes a worker writes into files. */
export function entryFilesCases(
  openInWorker: (name: string, maxBytes: number) => Promise<ChunkStore>,
  hooks: ContractHooks,
): void {
  const { equal } = hooks;
  const test: ContractHooks['test'] = (title, run) => hooks.test(`in files: ${title}`, run);
  const openHere = (name: string, maxBytes = ROOMY) => openIndexedDbChunkStore(name, { maxBytes, hash: sampleHash });

  test('long entries are stored in files, short ones in the database, and both are read by every tab', async () => {
    const name = freshName();
    const store = await openInWorker(name, ROOMY);
    await put(store, 1, 0, 2);
    await Promise.all([put(store, 1, 2, 40), put(store, 1, 40, 90), put(store, 2, 0, 30)]);
    const { infos, values } = await inDatabase(name);
    equal([values, infos.filter(({ place }) => !place).length], [1, 1]);
    equal(await filesOf(name), await notedFiles(name));
    equal((await filesOf(name)).length <= 3, true, `${await filesOf(name)}`);
    const other = await openInWorker(name, ROOMY);
    const here = await openHere(name);
    // At once, and again: only one of them has a file to itself.
    for (let turn = 0; turn < 2; turn++) {
      const read = [store, other, here].flatMap((each) => [readAll(each, 1), readAll(each, 2)]);
      equal(await Promise.all(read), [90, 30, 90, 30, 90, 30], `turn ${turn}`);
    }
    const few = await store.read(xorbs.name(1), { start: 57, end: 58 });
    equal(few?.chunks, { start: 57, end: 58 });
    equal(few && xorbs.wrongIn(1, few), undefined);
    for (const each of [store, other, here]) await each.close();
    const again = await openInWorker(name, ROOMY);
    equal(await readAll(again, 1), 90);
    await again.close();
  });

  test('changed files never return wrong chunks, and are dropped', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = randomNumbers(seed);
      const below = (limit: number) => Math.floor(random() * limit);
      const name = freshName();
      const first = await openInWorker(name, ROOMY);
      for (let xorb = 0; xorb < 4; xorb++) await put(first, xorb, 0, 20 + below(20));
      await first.close();
      const files = await filesOf(name);
      const [one, other] = [files[below(files.length)] ?? '', files[below(files.length)] ?? ''];
      const taken = new Uint8Array(
        await (await (await (await folderOf(name)).getFileHandle(other)).getFile()).arrayBuffer(),
      );
      await rewrite(name, one, (bytes) => {
        const kind = seed % 4;
        if (kind === 0) return null;
        if (kind === 1) return bytes.slice(0, below(bytes.length));
        if (kind === 2) return taken;
        const at = below(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
        return bytes;
      });
      const store = await openInWorker(name, ROOMY);
      for (let xorb = 0; xorb < 4; xorb++) {
        await readAll(store, xorb);
        await put(store, xorb, 0, 40);
        equal(await readAll(store, xorb), 40, `seed ${seed}, xorb ${xorb}`);
      }
      equal(await filesOf(name), await notedFiles(name), `seed ${seed}`);
      await store.close();
      await deleteDB(`${name}-chunks-v1`);
    }
  });

  test('a file is removed with its last entry, by eviction, removal or clearing', async () => {
    const name = freshName();
    const store = await openInWorker(name, 4 * MB);
    for (let xorb = 0; xorb < 20; xorb++) {
      await put(store, xorb, 0, 16);
      const { bytes, entries } = await store.usage();
      const { infos } = await inDatabase(name);
      equal(bytes <= 4 * MB, true, `${bytes} bytes`);
      equal({ bytes, entries }, { bytes: infos.reduce((sum, info) => sum + info.bytes, 0), entries: infos.length });
    }
    equal(await filesOf(name), await notedFiles(name));
    equal([await readAll(store, 0), await readAll(store, 19)], [0, 16]);
    await store.drop(xorbs.name(19));
    equal(await readAll(store, 19), 0);
    equal(await filesOf(name), await notedFiles(name));
    equal((await store.prune(1 * MB)) > 0, true);
    equal(await filesOf(name), await notedFiles(name));
    await store.clear();
    equal(await filesOf(name), []);
    await store.close();
  });

  test('used entries keep their whole file', async () => {
    const name = freshName();
    const first = await openInWorker(name, ROOMY);
    // Those that wait for the first go together.
    const runs = [1, 2, 3, 4].map((xorb) => ({ xorb, run: xorbs.run(xorb, { start: 0, end: 8 }) }));
    await Promise.all(runs.map(({ xorb, run }) => first.put(xorbs.name(xorb), run)));
    await first.close();
    const store = await openInWorker(name, 4 * MB);
    const { infos } = await inDatabase(name);
    equal(infos[2]?.place?.file, infos[3]?.place?.file);
    for (let xorb = 10; xorb < 13; xorb++) await put(store, xorb, 0, 16);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    equal(await readAll(store, 4), 8);
    for (let xorb = 20; xorb < 23; xorb++) await put(store, xorb, 0, 16);
    equal([await readAll(store, 1), await readAll(store, 3), await readAll(store, 4)], [0, 8, 8]);
    await store.close();
  });

  test('unreferenced files are removed on opening, unless they are new', async () => {
    const name = freshName();
    const first = await openInWorker(name, ROOMY);
    await put(first, 1, 0, 16);
    await first.close();
    const [kept] = await filesOf(name);
    const folder = await folderOf(name);
    const stamped = (ago: number) => `${(Date.now() - ago).toString(36)}-${crypto.randomUUID()}`;
    const names = [stamped(HOUR_MS), stamped(-HOUR_MS), '-not-ours', stamped(1000)];
    for (const file of names) await folder.getFileHandle(file, { create: true });
    const store = await openInWorker(name, ROOMY);
    equal(await readAll(store, 1), 16);
    await store.close();
    equal(await filesOf(name), [kept, names[3]].sort());
  });

  test('entries of a removed folder are dropped, and the database is used alone', async () => {
    const name = freshName();
    const store = await openInWorker(name, ROOMY);
    await put(store, 1, 0, 16);
    await (await navigator.storage.getDirectory()).removeEntry(`${name}-v1`, { recursive: true });
    equal(await readAll(store, 1), 0);
    await put(store, 1, 0, 16);
    await put(store, 2, 0, 16);
    equal([await readAll(store, 1), await readAll(store, 2)], [16, 16]);
    const { infos, values } = await inDatabase(name);
    equal([infos.length, values, infos.filter(({ place }) => place).length], [2, 2, 0]);
    await store.close();
  });

  test('entries of a version without files are read', async () => {
    const name = freshName();
    const old = await openDB(`${name}-chunks-v1`, 1, {
      upgrade(fresh) {
        fresh.createObjectStore('info').createIndex('usedMs', 'usedMs');
        fresh.createObjectStore('data');
        fresh.createObjectStore('usage');
      },
    });
    const run = xorbs.run(1, { start: 3, end: 20 });
    const value = joinBytes([encodeEntryHead(xorbs.name(1), run), run.bytes]);
    const key = [xorbs.name(1), 3, 20];
    await old.put('data', value, key);
    await old.put('info', { bytes: value.length + 1024, usedMs: Date.now(), records: run.records }, key);
    old.close();
    const store = await openInWorker(name, ROOMY);
    equal(await readAll(store, 1), 17);
    await put(store, 1, 0, 30);
    equal(await readAll(store, 1), 30);
    await store.close();
  });
}
