import { deleteDB, openDB } from 'idb';
import { openIndexedDbChunkStore } from '../../src/cache/chunks/chunk-store.indexeddb.ts';
import { memoryChunkStore } from '../../src/cache/chunks/chunk-store.memory.ts';
import type { ChunkStore, ChunkStoreUsage } from '../../src/cache/chunks/chunk-store.ts';
import { openWebChunkStore } from '../../src/cache/chunks/chunk-store.web.ts';
import { openWorkerChunkStore } from '../../src/cache/chunks/chunk-store.worker.ts';
import { isXetError } from '../../src/core/errors.ts';
import type { SpawnedWorker } from '../../workers/spawn.ts';
import { randomNumbers, SampleXorbs, sampleHash } from '../support/chunk-samples.ts';
import { type ContractHooks, chunkStoreContract, type StoreKind } from '../support/chunk-store-contract.ts';
import { entryFilesCases } from './entry-files-cases.ts';
import { fillUp } from './fill-up.ts';
import { inFrame } from './frames.ts';
import { readAllOf } from './read-all.ts';

/** Cases by the kind of page that they need; the names are known without a browser. */
export const SUITES = {
  /** Any page. */
  page: pageCases,
  /** A page of a site with little quota. */
  quota: quotaCases,
  /** The same site afterwards, with next to no quota. */
  squeezed: squeezedCases,
  /** A page whose site is cleared as soon as its title says that it is ready. */
  cleared: clearedCases,
  /** A page in a private window. */
  private: privateCases,
  /** A page after one that was hammering was killed. */
  afterwards: afterwardsCases,
} satisfies Record<string, (hooks: ContractHooks) => void>;

export type SuiteName = keyof typeof SUITES;

const KB = 1024;
const MB = 1024 * KB;
const ROOMY = 1024 * MB;
const xorbs = new SampleXorbs();
const large = new SampleXorbs(64 * KB, 64 * KB);

function spawnFrom(script: string): SpawnedWorker {
  const worker = new Worker(script, { type: 'module' });
  return {
    endpoint: worker,
    onFailure: (listener) => worker.addEventListener('error', () => listener(new Error('it failed to start'))),
    hold: () => undefined,
    terminate: () => worker.terminate(),
  };
}
const spawnStoreWorker = (minFileBytes?: number) =>
  spawnFrom(minFileBytes === undefined ? '/store-worker.js' : `/store-worker.js?minFileBytes=${minFileBytes}`);

let databases = 0;
const freshName = () => `test-${Date.now()}-${++databases}`;
/** The database of a store with this name. */
const databaseOf = (name: string) => `${name}-chunks-v1`;

const put = (store: ChunkStore, xorb: number, start: number, end: number, from = xorbs) =>
  store.put(from.name(xorb), from.run(xorb, { start, end }));

const readAll = (store: ChunkStore, xorb: number, from = xorbs) => readAllOf(from, store, xorb);

const inDatabase: StoreKind = {
  shared: true,
  place: async () => {
    const name = freshName();
    return { open: (options) => openIndexedDbChunkStore(name, options) };
  },
};
const inWhatever: StoreKind = {
  shared: true,
  place: async () => {
    const name = freshName();
    return { open: (options) => openWebChunkStore(name, options) };
  },
};
/** By a worker of its own, as pages have it. */
async function openInWorker(name: string, maxBytes: number, minFileBytes?: number): Promise<ChunkStore> {
  const spawn = () => spawnStoreWorker(minFileBytes);
  const store = await openWorkerChunkStore(spawn, name, { maxBytes, onLost: () => undefined });
  if (!store) throw new Error('No worker could be started.');
  return store;
}
const inWorkerWith = (minFileBytes?: number): StoreKind => ({
  shared: true,
  ownHash: true,
  place: async () => {
    const name = freshName();
    return { open: ({ maxBytes }) => openInWorker(name, maxBytes, minFileBytes) };
  },
});
const inWorker = inWorkerWith();
const inMemory: StoreKind = {
  shared: false,
  place: async () => ({ open: async (options) => memoryChunkStore(options) }),
};

const called = (name: string, { test, equal }: ContractHooks): ContractHooks => ({
  test: (title, run) => test(`${name}: ${title}`, run),
  equal,
});

function pageCases(hooks: ContractHooks): void {
  const { test, equal } = hooks;
  chunkStoreContract(inDatabase, called('IndexedDB', hooks));
  chunkStoreContract(inWhatever, called('with a way out', hooks));
  chunkStoreContract(inWorker, called('in a worker', hooks));
  chunkStoreContract(inWorkerWith(0), called('in a worker, all in files', hooks));
  entryFilesCases((...place) => openInWorker(...place), hooks);
  chunkStoreContract(inMemory, called('memory', hooks));

  test('a changed database never returns wrong chunks', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = randomNumbers(seed);
      const below = (limit: number) => Math.floor(random() * limit);
      const name = freshName();
      let store = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash });
      for (let turn = 0; turn < 8; turn++) await put(store, below(3), turn * 10, turn * 10 + 1 + below(12));
      if (seed % 2 === 0) await store.close();
      const raw = await openDB(databaseOf(name));
      const keys = await raw.getAllKeys('data');
      for (let turn = 0; turn < 4; turn++) {
        const key = keys[below(keys.length)]!;
        const bytes: unknown = await raw.get('data', key);
        const kind = below(8);
        if (kind === 0) await raw.delete('data', key);
        else if (kind === 1) await raw.delete('info', key);
        else if (kind === 2) await raw.put('data', 'text', key);
        else if (kind === 3) await raw.put('usage', { bytes: below(2) ? -5 : 'many', entries: Number.NaN }, 'all');
        else if (kind === 4) await raw.put('data', bytes, keys[below(keys.length)]!);
        else if (bytes instanceof Uint8Array) {
          const at = below(kind === 5 ? bytes.length : Math.min(200, bytes.length));
          bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
          await raw.put('data', kind === 6 ? bytes.slice(0, at) : bytes, key);
        }
      }
      raw.close();
      if (seed % 2 === 0) store = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash });
      for (let xorb = 0; xorb < 3; xorb++) {
        await readAll(store, xorb);
        await put(store, xorb, 0, 100);
        await readAll(store, xorb);
        await put(store, xorb, 0, 100);
        equal(await readAll(store, xorb), 100, `seed ${seed}`);
      }
      await store.close();
      await deleteDB(databaseOf(name));
    }
  });

  test('a wrong count is corrected, before or while the database is open', async () => {
    const wrong: unknown[] = [
      { bytes: 10 * MB, entries: 5 },
      { bytes: -1, entries: 5 },
      { bytes: 'many', entries: 5 },
      { bytes: Number.NaN, entries: 5 },
      { bytes: 3, entries: 2 },
      { bytes: 10, entries: 5.5 },
      {},
      null,
      'text',
    ];
    for (const meanwhile of [false, true]) {
      for (const usage of wrong) {
        // Too few of them cannot be told while it is open, other than by counting all the time.
        if (meanwhile && (usage as { entries?: number } | null)?.entries === 2) continue;
        const name = freshName();
        let store = await openIndexedDbChunkStore(name, { maxBytes: MB, hash: sampleHash });
        for (let xorb = 0; xorb < 5; xorb++) await put(store, xorb, 0, 5);
        if (!meanwhile) await store.close();
        const raw = await openDB(databaseOf(name));
        await raw.put('usage', usage, 'all');
        raw.close();
        if (!meanwhile) store = await openIndexedDbChunkStore(name, { maxBytes: MB, hash: sampleHash });
        await put(store, 9, 0, 5);
        equal(await readAll(store, 9), 5);
        equal(await store.usage(), await countedIn(name), `${JSON.stringify(usage)} ${meanwhile}`);
        await store.close();
        await deleteDB(databaseOf(name));
      }
    }
  });

  test('uncounted removals are noticed on opening', async () => {
    const name = freshName();
    const first = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash });
    for (let xorb = 0; xorb < 5; xorb++) await put(first, xorb, 0, 5);
    await first.close();
    const raw = await openDB(databaseOf(name));
    await raw.delete('info', (await raw.getAllKeys('info'))[2]!);
    raw.close();
    const second = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash });
    equal((await second.usage()).entries, 4);
    equal(await second.usage(), await countedIn(name));
    await second.close();
  });

  test('a database of another program with the same name is left alone, and memory is used', async () => {
    const name = freshName();
    const foreign = await openDB(databaseOf(name), 1, { upgrade: (database) => void database.createObjectStore('x') });
    await expectRefusal(name, equal);
    foreign.close();
    const newer = freshName();
    (await openDB(databaseOf(newer), 7)).close();
    await expectRefusal(newer, equal);
  });

  test('a frame without access to IndexedDB uses memory', async () => {
    equal(await inFrame('opaque'), 'refused with CACHE; 1 warning; reads what was put');
  });

  test('deleting the database is not blocked, and memory takes over', async () => {
    const name = freshName();
    const warnings: string[] = [];
    const store = await openWebChunkStore(name, {
      maxBytes: ROOMY,
      hash: sampleHash,
      onWarning: (warning) => warnings.push(warning),
    });
    await put(store, 1, 0, 20);
    equal(await readAll(store, 1), 20);
    const [deleted] = await Promise.all([
      within(5000, deleteDB(databaseOf(name))),
      ...Array.from({ length: 10 }, (_, xorb) => put(store, xorb, 0, 20)),
      readAll(store, 1),
    ]);
    equal(deleted, 'in time');
    equal(warnings.length, 1);
    equal(/memory only/.test(warnings[0] ?? ''), true, warnings[0]);
    await put(store, 2, 0, 20);
    equal(await readAll(store, 2), 20);
    equal((await store.usage()).entries > 0, true);
    await store.clear();
    await store.close();
    equal(warnings.length, 1);
    const again = await openWebChunkStore(name, { maxBytes: ROOMY, hash: sampleHash });
    await put(again, 3, 0, 4);
    equal(await readAll(again, 3), 4);
    await again.close();
  });

  test('the database is released when a later version opens it', async () => {
    const name = freshName();
    const reasons: string[] = [];
    const store = await openIndexedDbChunkStore(name, {
      maxBytes: ROOMY,
      hash: sampleHash,
      onLost: (reason) => reasons.push(reason),
    });
    await put(store, 1, 0, 20);
    const later = openDB(databaseOf(name), 3);
    equal(await within(5000, later), 'in time');
    (await later).close();
    equal(reasons.length, 1);
    // The bare store is empty from now on, and says so where someone waits for an answer.
    equal(await readAll(store, 1), 0);
    await put(store, 1, 0, 20);
    const refused = await store.usage().catch((error: unknown) => error);
    equal(isXetError(refused, 'CACHE'), true);
    await store.close();
    equal(reasons.length, 1);
  });

  test('memory takes over from a lost worker, with one warning', async () => {
    const workers: SpawnedWorker[] = [];
    const failures: ((reason: Error) => void)[] = [];
    const spawnWorker = () => {
      const spawned = spawnStoreWorker();
      workers.push(spawned);
      return { ...spawned, onFailure: (listener: (reason: Error) => void) => void failures.push(listener) };
    };
    const warnings: string[] = [];
    const onWarning = (warning: string) => warnings.push(warning);
    const store = await openWebChunkStore(freshName(), { maxBytes: ROOMY, hash: sampleHash, spawnWorker, onWarning });
    await put(store, 1, 0, 20);
    equal(await readAll(store, 1), 20);
    const underWay = [put(store, 2, 0, 20), readAll(store, 1), store.find(xorbs.name(1), { start: 0, end: 9 })];
    workers[0]?.terminate();
    failures[0]?.(new Error('it ended'));
    await Promise.all(underWay);
    equal([workers.length, warnings.length], [1, 1]);
    equal(/memory only.*it ended/.test(warnings[0] ?? ''), true, warnings[0]);
    await put(store, 3, 0, 20);
    equal(await readAll(store, 3), 20);
    await store.close();
  });

  test('without workers the page uses the database itself', async () => {
    const name = freshName();
    const nowhere = (): SpawnedWorker => spawnFrom('/there-is-none.js');
    const refused = (): SpawnedWorker => {
      throw new Error('A policy forbids it');
    };
    for (const spawnWorker of [nowhere, refused]) {
      const warnings: string[] = [];
      const onWarning = (warning: string) => warnings.push(warning);
      const store = await openWebChunkStore(name, { maxBytes: ROOMY, hash: sampleHash, spawnWorker, onWarning });
      await put(store, 1, 0, 20);
      await store.close();
      equal(warnings, []);
    }
    equal((await countedIn(name)).entries, 1);
  });

  test('a stored run is copied unless its memory is given away', async () => {
    const store = await inWorker.place().then((place) => place.open({ maxBytes: ROOMY, hash: sampleHash }));
    const run = xorbs.run(1, { start: 0, end: 20 });
    await store.put(xorbs.name(1), run);
    equal(xorbs.wrongIn(1, run), undefined);
    const given = xorbs.run(2, { start: 0, end: 20 });
    await store.put(xorbs.name(2), given, true);
    equal(given.bytes.length, 0);
    equal([await readAll(store, 1), await readAll(store, 2)], [20, 20]);
    await store.close();
  });

  test('consecutive runs are merged into few entries', async () => {
    const name = freshName();
    const store = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash });
    const starts = Array.from({ length: 40 }, (_, index) => index);
    await Promise.all(starts.map((start) => put(store, 1, start, start + 1, large)));
    equal(await readAll(store, 1, large), 40);
    const { entries } = await countedIn(name);
    // The first goes alone; of the others none is longer than 1 MiB.
    equal(entries >= 3 && entries <= 5, true, `${entries} entries`);
    equal(await store.usage(), await countedIn(name));
    const row = await store.read(large.name(1), { start: 3, end: 40 });
    equal(row && row.chunks.end > 20, true, `up to ${row?.chunks.end}`);
    await store.close();
  });

  test('a damaged entry ends a read before it, and only it is dropped', async () => {
    const name = freshName();
    const store = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash });
    for (let start = 0; start < 20; start += 5) await put(store, 1, start, start + 5);
    const raw = await openDB(databaseOf(name));
    const [, , key] = await raw.getAllKeys('data');
    const bytes = (await raw.get('data', key!)) as Uint8Array;
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await raw.put('data', bytes, key);
    raw.close();
    const run = await store.read(xorbs.name(1), { start: 2, end: 20 });
    equal(run?.chunks, { start: 2, end: 14 });
    equal(run && xorbs.wrongIn(1, run), undefined);
    equal(await store.find(xorbs.name(1), { start: 0, end: 20 }), [
      { start: 0, end: 10 },
      { start: 15, end: 20 },
    ]);
    await store.close();
  });

  test('several tabs share one limit and one count, and read correct chunks', async () => {
    const name = freshName();
    const said = await Promise.all([1, 2, 3].map((seed) => inFrame('load', { name, seed: String(seed) })));
    equal(said, ['good', 'good', 'good']);
    const raw = await openDB(databaseOf(name));
    const data = (await raw.getAll('data')) as Uint8Array[];
    const stored = await raw.get('usage', 'all');
    raw.close();
    const { bytes, entries } = await countedIn(name);
    equal(stored, { bytes, entries });
    equal(data.length, entries);
    equal(bytes >= data.reduce((sum, one) => sum + one.length, 0), true);
    equal(bytes <= LOAD_MAX_BYTES && bytes > LOAD_MAX_BYTES * 0.7, true, `${bytes} of ${LOAD_MAX_BYTES} bytes`);
  });

  test('long runs and single chunks are stored and read', async () => {
    const store = await openIndexedDbChunkStore(freshName(), { maxBytes: ROOMY, hash: sampleHash });
    await put(store, 1, 0, 24, large);
    for (let chunk = 24; chunk < 40; chunk++) await put(store, 1, chunk, chunk + 1, large);
    equal(await readAll(store, 1, large), 40);
    await store.clear();
    await store.close();
  });
}

/** Total size of a store's entries, as recorded in each. */
async function countedIn(name: string): Promise<ChunkStoreUsage> {
  const raw = await openDB(databaseOf(name));
  const info = (await raw.getAll('info')) as { bytes: number }[];
  raw.close();
  return { bytes: info.reduce((sum, { bytes }) => sum + bytes, 0), entries: info.length };
}

async function expectRefusal(name: string, equal: ContractHooks['equal']): Promise<void> {
  const refused = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash }).catch((error) => error);
  equal(isXetError(refused, 'CACHE'), true, String(refused));
  const warnings: string[] = [];
  const store = await openWebChunkStore(name, {
    maxBytes: ROOMY,
    hash: sampleHash,
    onWarning: (warning) => warnings.push(warning),
  });
  await put(store, 1, 0, 10);
  equal(await readAll(store, 1), 10);
  await store.close();
  equal(warnings.length, 1);
}

async function within(ms: number, promise: Promise<unknown>): Promise<'in time' | 'too late'> {
  const timeout = new Promise<'too late'>((resolve) => setTimeout(resolve, ms, 'too late'));
  return Promise.race([promise.then(() => 'in time' as const), timeout]);
}

export const LOAD_MAX_BYTES = 3 * MB;

/** Work of each of several tabs. */
export async function loadFromTab(name: string, seed: number): Promise<string> {
  const store = await openIndexedDbChunkStore(name, { maxBytes: LOAD_MAX_BYTES, hash: sampleHash });
  const some = new SampleXorbs(5 * KB, 20 * KB);
  const random = randomNumbers(seed);
  for (let turn = 0; turn < 120; turn++) {
    const [xorb, start] = [Math.floor(random() * 4), Math.floor(random() * 100)];
    const chunks = { start, end: start + 1 + Math.floor(random() * 6) };
    if (random() < 0.6) {
      await store.put(some.name(xorb), some.run(xorb, chunks));
    } else {
      const run = await store.read(some.name(xorb), chunks);
      const wrong = run && some.wrongIn(xorb, run);
      if (wrong) return wrong;
    }
    const { bytes } = await store.usage();
    if (bytes > LOAD_MAX_BYTES) return `${bytes} of ${LOAD_MAX_BYTES} bytes`;
  }
  await store.close();
  return 'good';
}

/** Work of a frame without IndexedDB. */
export async function tryWithout(): Promise<string> {
  const name = freshName();
  const refused = await openIndexedDbChunkStore(name, { maxBytes: ROOMY, hash: sampleHash }).catch((error) => error);
  const warnings: string[] = [];
  const store = await openWebChunkStore(name, {
    maxBytes: ROOMY,
    hash: sampleHash,
    onWarning: (warning) => warnings.push(warning),
  });
  await put(store, 1, 0, 10);
  const read = (await readAll(store, 1)) === 10 ? 'reads what was put' : 'does not work';
  return `refused with ${isXetError(refused) ? refused.code : String(refused)}; ${warnings.length} warning; ${read}`;
}

/** The site has a quota of some twenty megabytes, which not all browsers tell it. */
function quotaCases({ test, equal }: ContractHooks): void {
  const options = { maxBytes: 1e12, hash: sampleHash };
  const readEverything = async (store: ChunkStore, count: number) => {
    let chunks = 0;
    for (let xorb = 0; xorb < count; xorb++) chunks += await readAll(store, xorb, large);
    return chunks;
  };

  test('old entries are evicted when there is no room', async () => {
    const warnings: string[] = [];
    const store = await openWebChunkStore('quota', { ...options, onWarning: (warning) => warnings.push(warning) });
    for (let xorb = 0; xorb < 60; xorb++) await put(store, xorb, 0, 16, large);
    const { bytes } = await store.usage();
    equal(bytes > 4 * MB && bytes < 30 * MB, true, `${bytes} bytes`);
    equal((await readEverything(store, 60)) >= 4 * 16, true);
    equal(warnings, []);
    await store.close();
  });

  test('at most half of a known quota is used', async () => {
    const { quota = 0 } = await navigator.storage.estimate();
    const store = await openIndexedDbChunkStore('quota', options);
    const { bytes } = await store.usage();
    equal(bytes <= quota / 2, true, `${bytes} of ${quota} bytes`);
    await store.close();
  });

  test('if others use up the quota, writes fail silently and reads continue', async () => {
    const warnings: string[] = [];
    const store = await openIndexedDbChunkStore('quota', { ...options, onLost: (reason) => warnings.push(reason) });
    const before = await store.usage();
    const names = await fillUp();
    const late = await openWebChunkStore('quota', { ...options, onWarning: (warning) => warnings.push(warning) });
    // More than a megabyte: Firefox stores such values in separate files, and fails differently.
    for (let xorb = 100; xorb < 112; xorb++) await put(late, xorb, 0, 24, large);
    const after = await late.usage();
    // Half of it may have made way for the first of these puts.
    equal(after.bytes >= before.bytes / 2 - MB, true, `${after.bytes} left of ${before.bytes} bytes`);
    // Each read then writes down that it happened, for which there is no room either.
    const now = Date.now.bind(Date);
    Date.now = () => now() + 3_600_000;
    for (const [name, each] of Object.entries({ store, late })) {
      const bytes = (await readEverything(each, 112)) * 64 * KB;
      equal(bytes >= after.bytes * 0.9, true, `${name}: ${bytes} of ${after.bytes} bytes; ${warnings}`);
    }
    Date.now = now;
    equal(warnings, []);
    await store.close();
    await late.close();
    for (const name of names) await deleteDB(name);
  });
}

function squeezedCases({ test, equal }: ContractHooks): void {
  test('if evicting half makes no room, nothing more is evicted and reads continue', async () => {
    const warnings: string[] = [];
    const store = await openWebChunkStore('quota', {
      maxBytes: 1e12,
      hash: sampleHash,
      onWarning: (warning) => warnings.push(warning),
    });
    const before = await store.usage();
    for (let xorb = 200; xorb < 210; xorb++) await put(store, xorb, 0, 16, large);
    const after = await store.usage();
    equal(before.bytes > 4 * MB && after.bytes < before.bytes, true, `${before.bytes}, then ${after.bytes} bytes`);
    equal(after.bytes >= before.bytes / 2 - 1.1 * MB, true, `${before.bytes}, then ${after.bytes} bytes`);
    let chunks = 0;
    for (let xorb = 0; xorb < 210; xorb++) chunks += await readAll(store, xorb, large);
    // All that is counted can be read; the rest of an entry are hashes.
    equal(chunks * 64 * KB > after.bytes * 0.99, true, `${chunks} chunks of ${after.bytes} bytes`);
    equal(warnings, []);
    await store.close();
  });
}

function clearedCases({ test, equal }: ContractHooks): void {
  test('memory takes over when the user clears the site', async () => {
    const warnings: string[] = [];
    const store = await openWebChunkStore('cleared', {
      maxBytes: ROOMY,
      hash: sampleHash,
      onWarning: (warning) => warnings.push(warning),
    });
    await put(store, 1, 0, 20);
    document.title = 'ready';
    for (let turn = 0; warnings.length === 0 && turn < 2000; turn++) {
      await put(store, turn % 20, turn, turn + 3);
      // Many at once: some of them are under way when the database goes.
      await Promise.all(Array.from({ length: 30 }, () => readAll(store, 1)));
    }
    equal(warnings.length, 1);
    await put(store, 2, 0, 20);
    equal(await readAll(store, 2), 20);
    await store.close();
    equal(warnings.length, 1);
  });
}

function privateCases(hooks: ContractHooks): void {
  chunkStoreContract(inWhatever, called('private window', hooks));
}

const HAMMERED = 'hammered';
const HAMMER_MAX_BYTES = 8 * MB;
/** Xorb that is not hammered on. */
const LEFT = 9;
const some = new SampleXorbs(5 * KB, 40 * KB);

/** Puts and reads until it is killed. */
export async function hammer(seed: number): Promise<never> {
  const store = await openIndexedDbChunkStore(HAMMERED, { maxBytes: HAMMER_MAX_BYTES, hash: sampleHash });
  const random = randomNumbers(seed);
  for (;;) {
    const [xorb, start] = [Math.floor(random() * 4), Math.floor(random() * 100)];
    await put(store, xorb, start, start + 1 + Math.floor(random() * 20), some);
  }
}

function afterwardsCases({ test, equal }: ContractHooks): void {
  test('the store of a killed browser is correct and within the limit', async () => {
    const store = await openIndexedDbChunkStore(HAMMERED, { maxBytes: HAMMER_MAX_BYTES, hash: sampleHash });
    const { bytes, entries } = await store.usage();
    let chunks = 0;
    // The last one is what this left the last time: on a slow machine a page is killed before it has put anything.
    for (const xorb of [0, 1, 2, 3, LEFT]) chunks += await readAll(store, xorb, some);
    equal(bytes <= HAMMER_MAX_BYTES, true, `${bytes} bytes`);
    // Nothing was dropped while reading it: transactions are whole.
    equal(await store.usage(), { bytes, entries });
    equal(chunks > 0 || entries === 0, true);
    await put(store, LEFT, 0, 5, some);
    equal(await readAll(store, LEFT, some), 5);
    await store.close();
  });
}
