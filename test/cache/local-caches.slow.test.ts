import { open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { memoryChunkStore } from '../../src/cache/chunks/chunk-store.memory.ts';
import { openFolderChunkStore } from '../../src/cache/chunks/chunk-store.node.ts';
import { FileSources, type SourceFile } from '../../src/cache/file-sources.ts';
import { LocalCaches } from '../../src/cache/local-caches.ts';
import { memoryRecipeStore } from '../../src/cache/recipes/recipe-store.memory.ts';
import { openFolderRecipeStore } from '../../src/cache/recipes/recipe-store.node.ts';
import type { RecipeStore } from '../../src/cache/recipes/recipe-store.ts';
import type { PlacedTerm } from '../../src/cas/reconstruction.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import { MemoryBudget } from '../../src/core/budget.ts';
import { CHUNK_RECORD_BYTES, chunkCount, chunkSlice } from '../../src/core/chunks.ts';
import { Lanes } from '../../src/core/lanes.ts';
import { fillFile } from '../../src/download/fill-file.ts';
import { readRange } from '../../src/download/read-range.ts';
import { memoryVerifiedFiles } from '../../src/files/verified-files.memory.ts';
import { openVerifiedFiles } from '../../src/files/verified-files.node.ts';
import type { VerifiedFiles } from '../../src/files/verified-files.ts';
import type { ResolvedFile } from '../../src/hub/client.ts';
import { chunksOf, engineFor, heldParts, hubWith, MemoryTarget, repo, requests, sent } from '../support/engines.ts';
import { filesIn } from '../support/folder.ts';
import { scratch, sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { recipeOf, type TermSample } from '../support/recipe-samples.ts';
import { randomBytes } from '../support/samples.ts';
import { spoilXorbs } from '../support/source.ts';

const MIB = 1024 * 1024;
const noSignal = new AbortController().signal;

const original = randomBytes(2_000_000, 1);
const addition = randomBytes(300_000, 2);
/** The original with something put into it. */
const variant = Buffer.concat([original.subarray(0, 900_000), addition, original.subarray(900_000)]);

interface Hooks {
  /** Before a source file is opened. */
  onOpen?: (path: string) => Promise<void> | void;
  /** Before it is read from; may throw as a failing disk does. */
  onRead?: (path: string, start: number, into: Uint8Array) => Promise<void> | void;
  chunks?: boolean;
}

interface Machine {
  caches: LocalCaches;
  dir: string;
  /** Files that are open now. */
  open: () => number;
}

const nothingCut = () => Promise.reject(new Error('Nothing is to be cut into chunks'));

/** What a machine remembers, in a folder of its own. */
function remembering(dir: string, pool: CodecPool, budget: MemoryBudget, hooks: Hooks = {}): Machine {
  let isOpen = 0;
  const openFile = async (path: string): Promise<SourceFile> => {
    await hooks.onOpen?.(path);
    const file = await open(path, 'r');
    isOpen++;
    return {
      async read(start, into) {
        await hooks.onRead?.(path, start, into);
        const { bytesRead } = await file.read(into, 0, into.length, start);
        return into.subarray(0, bytesRead);
      },
      close: async () => {
        isOpen--;
        await file.close();
      },
    };
  };
  const hash = async (chunk: Uint8Array) => (await loadCodec()).chunkHash(chunk);
  const known = openVerifiedFiles(join(dir, 'files'));
  const caches = new LocalCaches({
    recipes: openFolderRecipeStore(join(dir, 'shards')),
    known,
    chunks: hooks.chunks === false ? undefined : openFolderChunkStore(join(dir, 'chunks'), { maxBytes: 1e9, hash }),
    chunkLimitBytes: 1e9,
    folders: { chunks: dir, recipes: dir, verifiedFiles: dir },
    sources: (atHand) => new FileSources({ known, openFile, chunkFile: nothingCut, pool, budget }, atHand),
    budget,
  });
  return { caches, dir, open: () => isOpen };
}

/** An engine that remembers, a Hub with the two files, and what they are on the Hub. */
async function setUp(hooks: Hooks = {}, chunksPerXorb = 8192, budgetBytes = 64 * MIB) {
  const hub = await hubWith({ original }, {}, chunksPerXorb);
  await hub.commitFiles(repo, { variant }, { xet: 'always', chunksPerXorb });
  const pool = new CodecPool({ size: 0, load: loadCodec });
  const budget = new MemoryBudget(budgetBytes, budgetBytes / 4);
  const lanes = new Lanes(4);
  const machine = remembering(await scratch(), pool, budget, hooks);
  const { engine, hubClient } = engineFor(hub, { caches: machine.caches, pool, budget, lanes });
  const files = {
    original: await hubClient.resolve(repo, 'main', 'original'),
    variant: await hubClient.resolve(repo, 'main', 'variant'),
  };
  return { hub, pool, budget, lanes, engine, hubClient, files, ...machine };
}

type SetUp = Awaited<ReturnType<typeof setUp>>;

/** Fills a file in memory and says where its bytes came from. */
async function fill({ engine, hub }: SetUp, file: ResolvedFile, target: MemoryTarget, signal = noSignal) {
  hub.resetRequests();
  let cached = 0;
  let network = 0;
  const verified = await fillFile(engine, file, target, {
    signal,
    report: {
      cached: (bytes) => {
        cached += bytes;
      },
      network: (bytes) => {
        network += bytes;
      },
    },
  });
  return { verified, cached, network, kinds: hub.requests.map(({ kind }) => kind) };
}

/** Downloads the original to a file that is known from then on. */
async function bringOriginal(all: SetUp, folder?: string): Promise<string> {
  const path = join(folder ?? (await scratch()), 'original');
  const { xetHash, etag } = all.files.original;
  await fill(all, all.files.original, new MemoryTarget(original));
  await writeFile(path, original);
  await all.caches.stores.known.remember(path, { etag, xetHash, verified: 'xet' });
  return path;
}

function expectWhole(target: MemoryTarget, bytes: Uint8Array): void {
  expect(target.mistakes).toEqual([]);
  expect(target.notOnce).toEqual([]);
  expect(sha256(target.bytes)).toBe(sha256(bytes));
}

async function expectAtRest({ budget, lanes, open: openFiles }: SetUp): Promise<void> {
  await vi.waitFor(() => expect([budget.usedBytes, lanes.used, openFiles()]).toEqual([0, 0, 0]));
}

async function readAll(
  { engine }: SetUp,
  file: ResolvedFile,
  range = { start: 0, end: file.size },
  signal = noSignal,
): Promise<Buffer> {
  const runs: Uint8Array[] = [];
  for await (const { bytes } of readRange(engine, file, range, { signal })) runs.push(bytes);
  return Buffer.concat(runs);
}

describe('a file on this disk', () => {
  test('is where a variant of it takes from what they have in common', async () => {
    const all = await setUp();
    await bringOriginal(all);
    const target = new MemoryTarget(variant);
    const { verified, cached, network } = await fill(all, all.files.variant, target);
    expect(verified).toBe('xet');
    expectWhole(target, variant);
    // A chunk on either side of the addition is another one.
    expect(cached).toBeGreaterThan(original.length - 2 * 128 * 1024);
    expect(variant.length - cached).toBeLessThanOrEqual(network);
    expect(network).toBeLessThan(variant.length - cached + 2000);
    await expectAtRest(all);
  });

  test('is all that a second one like it needs: no server is asked', async () => {
    const all = await setUp();
    await bringOriginal(all);
    const target = new MemoryTarget(original);
    const { cached, network, kinds } = await fill(all, all.files.original, target);
    expectWhole(target, original);
    expect([cached, network, kinds]).toEqual([original.length, 0, []]);
    await expectAtRest(all);
  });

  test('is copied through the same few pieces of memory, and read into memory that is given away', async () => {
    const large = randomBytes(24_000_000, 7);
    const memory = new Set<ArrayBufferLike>();
    const all = await setUp({ onRead: (_path, _start, into) => void memory.add(into.buffer) });
    await all.hub.commitFiles(repo, { large }, { xet: 'always' });
    const file = await all.hubClient.resolve(repo, 'main', 'large');
    await fill(all, file, new MemoryTarget(large));
    const path = join(await scratch(), 'large');
    await writeFile(path, large);
    await all.caches.stores.known.remember(path, { etag: file.etag, xetHash: file.xetHash, verified: 'xet' });

    const target = new MemoryTarget(large);
    const { cached } = await fill(all, file, target);
    expectWhole(target, large);
    expect(cached).toBe(large.length);
    // One is read, one checked and one written; what ends a part is too short for any of them.
    const together = [...memory].filter(({ byteLength }) => byteLength > 2 * MIB);
    expect(together.length).toBeLessThanOrEqual(3);

    memory.clear();
    // All of it is looked at only after all of it came.
    expect(sha256(await readAll(all, file))).toBe(sha256(large));
    expect(memory.size).toBeGreaterThan(8);
    await expectAtRest(all);
  });

  test('is not asked where everything is to come over the network', async () => {
    const all = await setUp();
    await bringOriginal(all);
    const target = new MemoryTarget(original);
    let cached = 0;
    await fillFile(all.engine, all.files.original, target, {
      signal: noSignal,
      policy: 'network',
      report: {
        cached: (bytes) => {
          cached += bytes;
        },
      },
    });
    expectWhole(target, original);
    expect(cached).toBe(0);
    expect(sent(all.hub, 'xorb')).toBeGreaterThan(original.length);
  });

  test('gives ranges of it and of its variant', async () => {
    const all = await setUp({ chunks: false });
    await bringOriginal(all);
    all.hub.resetRequests();
    for (const [start, end] of [
      [0, 1],
      [5, 200_000],
      [1_000_001, 1_000_002],
      [1_900_000, 2_000_000],
    ] as const) {
      expect((await readAll(all, all.files.original, { start, end })).equals(original.subarray(start, end))).toBe(true);
    }
    expect(all.hub.requests).toEqual([]);
    for (const [start, end] of [
      [800_000, 1_300_000],
      [899_999, 900_001],
      [0, 9],
      [2_299_990, 2_300_000],
    ] as const) {
      expect((await readAll(all, all.files.variant, { start, end })).equals(variant.subarray(start, end))).toBe(true);
    }
    await expectAtRest(all);
  });

  test.each([
    ['nothing', []],
    ['its beginning', [[0, 7]]],
    ['its end', [[20, 26]]],
    [
      'parts of it',
      [
        [1, 2],
        [4, 9],
        [12, 13],
        [17, 23],
      ],
    ],
  ] satisfies [string, [number, number][]][])(
    'fills in what is missing beside what an earlier try has put in place: %s',
    async (_what, held) => {
      const all = await setUp();
      await bringOriginal(all);
      for (const [name, bytes] of [
        ['original', original],
        ['variant', variant],
      ] as const) {
        const target = new MemoryTarget(bytes, await heldParts(bytes, held));
        const { cached } = await fill(all, all.files[name], target);
        expectWhole(target, bytes);
        // What is in place need not be brought again from anywhere.
        expect(cached).toBeLessThanOrEqual(target.written);
        await expectAtRest(all);
      }
    },
  );

  const changes: [what: string, change: (path: string) => Promise<void>][] = [
    ['was deleted', (path) => rm(path)],
    ['was cut short', (path) => truncate(path, 700_000)],
    ['was emptied', (path) => truncate(path, 0)],
    ['has become something else', (path) => writeFile(path, randomBytes(original.length, 9))],
    ['has moved by a byte', (path) => writeFile(path, Buffer.concat([Buffer.of(1), original]))],
    [
      'has a flipped bit',
      async (path) => {
        const bytes = await readFile(path);
        bytes[1_034_567] = (bytes[1_034_567] ?? 0) ^ 4;
        await writeFile(path, bytes);
      },
    ],
  ];

  test.each(changes)('that %s after it was chosen: the rest comes from elsewhere', async (_what, change) => {
    let path = '';
    const hooks: Hooks = {};
    const all = await setUp(hooks);
    path = await bringOriginal(all);
    const target = new MemoryTarget(original);
    hooks.onOpen = () => change(path);
    const { cached, network } = await fill(all, all.files.original, target);
    hooks.onOpen = undefined;
    expectWhole(target, original);
    expect(cached).toBeLessThan(original.length);
    expect(cached + network).toBeGreaterThanOrEqual(original.length);
    expect(network).toBeLessThan(original.length - cached + 4000);
    // It is no source any more.
    expect(await all.caches.stores.known.pathsOf(all.files.original.xetHash ?? '')).toEqual([]);
    await expectAtRest(all);
  });

  test.each(changes)('that %s between two reads: the rest comes from elsewhere', async (_what, change) => {
    let path = '';
    let reads = 0;
    const hooks: Hooks = {};
    const all = await setUp(hooks);
    path = await bringOriginal(all);
    hooks.onRead = async () => {
      if (++reads === 2) await change(path);
    };
    const target = new MemoryTarget(variant);
    const { cached } = await fill(all, all.files.variant, target);
    expectWhole(target, variant);
    expect(cached).toBeLessThan(original.length);
    await expectAtRest(all);
  });

  test.each(['EMFILE', 'EIO', 'EACCES'])('a source that fails to open once with %s stays a source', async (code) => {
    const hooks: Hooks = {};
    const all = await setUp(hooks);
    const path = await bringOriginal(all);
    hooks.onOpen = () => {
      throw Object.assign(new Error(code), { code, syscall: 'open' });
    };
    const target = new MemoryTarget(original);
    await fill(all, all.files.original, target);
    expectWhole(target, original);
    expect(await all.caches.stores.known.pathsOf(all.files.original.xetHash ?? '')).toEqual([path]);
    await expectAtRest(all);
  });

  test('a source that fails to be read once stays a source, and its bytes come from elsewhere', async () => {
    const hooks: Hooks = {};
    const all = await setUp(hooks);
    await bringOriginal(all);
    let reads = 0;
    hooks.onRead = () => {
      if (++reads === 3) throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'read' });
    };
    const target = new MemoryTarget(original);
    await fill(all, all.files.original, target);
    expectWhole(target, original);
    expect(await all.caches.stores.known.pathsOf(all.files.original.xetHash ?? '')).toHaveLength(1);
    await expectAtRest(all);
  });

  test('that changed before it was chosen is not chosen', async () => {
    const all = await setUp({
      onOpen: () => {
        throw new Error('It was opened');
      },
    });
    const path = await bringOriginal(all);
    const bytes = await readFile(path);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const target = new MemoryTarget(original);
    const { cached } = await fill(all, all.files.original, target);
    expectWhole(target, original);
    expect(cached).toBe(0);
  });

  test('of which a range is read is checked as the network is, where it is not what it was', async () => {
    const hooks: Hooks = {};
    const all = await setUp({ ...hooks, chunks: false }, 8192);
    const path = await bringOriginal(all);
    await spoilXorbs(all.hub);
    await writeFile(path, randomBytes(original.length, 9));
    await all.caches.stores.known.remember(path, {
      etag: all.files.original.etag,
      xetHash: all.files.original.xetHash,
      verified: 'xet',
    });
    const range = { start: 100_000, end: 900_000 };
    const outcome = await readAll(all, all.files.original, range).catch((error: unknown) => error);
    if (outcome instanceof Uint8Array) expect(sha256(outcome)).toBe(sha256(original.subarray(100_000, 900_000)));
    else expect(outcome).toMatchObject({ code: 'INTEGRITY' });
  });

  test('is let go of when the download is aborted', async () => {
    const hooks: Hooks = {};
    const all = await setUp(hooks);
    await bringOriginal(all);
    const stop = new AbortController();
    hooks.onRead = () => stop.abort('enough');
    const target = new MemoryTarget(original);
    expect(await rejectionOf(fill(all, all.files.original, target, stop.signal))).toBe('enough');
    expect(target.mistakes).toEqual([]);
    await expectAtRest(all);
  });

  test('is let go of when its reader has enough', async () => {
    const all = await setUp();
    await bringOriginal(all);
    for await (const { bytes } of readRange(
      all.engine,
      all.files.original,
      { start: 0, end: original.length },
      { signal: noSignal },
    )) {
      expect(bytes.length).toBeGreaterThan(0);
      break;
    }
    await expectAtRest(all);
  });

  test('is read within a small budget', async () => {
    const all = await setUp({}, 8192, 16 * MIB);
    await bringOriginal(all);
    const before = all.budget.peakBytes;
    await Promise.all(
      [1, 2, 3].map(async () => {
        const target = new MemoryTarget(variant);
        await fill(all, all.files.variant, target);
        expectWhole(target, variant);
      }),
    );
    expect(before).toBeLessThanOrEqual(16 * MIB);
    expect(all.budget.peakBytes).toBeLessThanOrEqual(16 * MIB);
    await expectAtRest(all);
  });
});

describe('chunks of reads that leave no file', () => {
  test('need not be fetched a second time', async () => {
    const all = await setUp();
    expect(sha256(await readAll(all, all.files.original))).toBe(sha256(original));
    all.hub.resetRequests();
    expect(sha256(await readAll(all, all.files.original))).toBe(sha256(original));
    expect(all.hub.requests).toEqual([]);
    // The variant takes them as well.
    expect(sha256(await readAll(all, all.files.variant))).toBe(sha256(variant));
    expect(sent(all.hub, 'xorb')).toBeLessThan(addition.length + 4 * 128 * 1024);
    await expectAtRest(all);
  });

  test('of ranges make the whole cheaper, with its recipe and without', async () => {
    for (const known of [false, true]) {
      const all = await setUp({}, 13);
      if (known) await fill(all, all.files.original, new MemoryTarget(original));
      for (const start of [100_000, 700_000, 1_500_000]) {
        const range = { start, end: start + 400_000 };
        expect(sha256(await readAll(all, all.files.original, range))).toBe(
          sha256(original.subarray(range.start, range.end)),
        );
      }
      all.hub.resetRequests();
      for (const start of [100_000, 700_000, 1_500_000]) {
        const range = { start: start + 150_000, end: start + 250_000 };
        expect(sha256(await readAll(all, all.files.original, range))).toBe(
          sha256(original.subarray(range.start, range.end)),
        );
      }
      if (known) expect(all.hub.requests).toEqual([]);
      all.hub.resetRequests();
      expect(sha256(await readAll(all, all.files.original))).toBe(sha256(original));
      if (known) expect(sent(all.hub, 'xorb')).toBeLessThan(original.length - 1_200_000 + 10_000);
      expect(sent(all.hub, 'xorb')).toBeLessThan(original.length);
      await expectAtRest(all);
    }
  });

  test('are not kept where none are to be kept, nor of what becomes a file', async () => {
    const none = await setUp({ chunks: false });
    await readAll(none, none.files.original);
    expect(await filesIn(join(none.dir, 'chunks'))).toEqual([]);
    const some = await setUp();
    await fill(some, some.files.original, new MemoryTarget(original));
    expect(await filesIn(join(some.dir, 'chunks'))).toEqual([]);
    await readAll(some, some.files.variant, { start: 950_000, end: 960_000 });
    expect(await filesIn(join(some.dir, 'chunks'))).not.toEqual([]);
  });

  test.each([
    ['flipped bits', async (path: string, size: number) => flip(path, Math.floor(size / 2))],
    ['their beginning gone', async (path: string) => flip(path, 0)],
    ['their end gone', async (path: string, size: number) => truncate(path, Math.floor(size / 3))],
    ['nothing in them', async (path: string) => truncate(path, 0)],
    ['been deleted', async (path: string) => rm(path)],
  ])('that have %s are fetched again', async (_what, damage) => {
    const all = await setUp({}, 11);
    await readAll(all, all.files.original);
    const entries = (await filesIn(join(all.dir, 'chunks'))).filter((path) => /-\d+-\d+$/.test(path));
    expect(entries.length).toBeGreaterThan(2);
    for (const [index, path] of entries.entries()) {
      if (index % 2 === 0) await damage(path, (await stat(path)).size);
    }
    all.hub.resetRequests();
    expect(sha256(await readAll(all, all.files.original))).toBe(sha256(original));
    expect(requests(all.hub, 'xorb').length).toBeGreaterThan(0);
    // What was wrong is replaced, if not at once: a reader gives up on a run of entries at the first that is wrong.
    for (let time = 0; time < entries.length; time++) await readAll(all, all.files.original);
    all.hub.resetRequests();
    expect(sha256(await readAll(all, all.files.original))).toBe(sha256(original));
    expect(all.hub.requests).toEqual([]);
    await expectAtRest(all);
  });

  test('that vanish between planning and reading are fetched', async () => {
    const all = await setUp({}, 11);
    await readAll(all, all.files.original);
    const runs: Uint8Array[] = [];
    const reading = readRange(all.engine, all.files.original, { start: 0, end: original.length }, { signal: noSignal });
    for await (const { bytes } of reading) {
      runs.push(bytes);
      if (runs.length === 1) await all.caches.stores.chunks?.clear();
    }
    expect(sha256(Buffer.concat(runs))).toBe(sha256(original));
    await expectAtRest(all);
  });

  test('that came corrupt do not stay for good', async () => {
    const all = await setUp({}, 11);
    all.hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5000 });
    const first = await readAll(all, all.files.original).catch((error: unknown) => error);
    expect(first).toMatchObject({ code: 'INTEGRITY' });
    const fresh: Uint8Array[] = [];
    const range = { start: 0, end: original.length };
    for await (const { bytes } of readRange(all.engine, all.files.original, range, {
      signal: noSignal,
      policy: 'refetch',
    })) {
      fresh.push(bytes);
    }
    expect(sha256(Buffer.concat(fresh))).toBe(sha256(original));
    for (let time = 0; time < 2; time++) {
      expect(sha256(await readAll(all, all.files.original))).toBe(sha256(original));
    }
    all.hub.resetRequests();
    expect(sha256(await readAll(all, all.files.original))).toBe(sha256(original));
    expect(requests(all.hub, 'xorb')).toEqual([]);
  });
});

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  await writeFile(path, bytes);
}

describe('recipes', () => {
  test('that are damaged are not believed, and come again', async () => {
    const all = await setUp();
    await bringOriginal(all);
    const [recipe] = (await filesIn(join(all.dir, 'shards'))).filter((path) =>
      path.endsWith(all.files.original.xetHash ?? '?'),
    );
    const size = (await stat(recipe!)).size;
    for (const damage of [9, 70, size - 1]) {
      await flip(recipe!, damage);
      // Another process, that has not had it in its hands.
      const later = remembering(all.dir, all.pool, all.budget);
      const { engine } = engineFor(all.hub, { caches: later.caches, pool: all.pool, budget: all.budget });
      expect(await later.caches.termsOf(all.files.original.xetHash ?? '', original.length)).toBeUndefined();
      const target = new MemoryTarget(variant);
      expect(await fillFile(engine, all.files.variant, target, { signal: noSignal })).toBe('xet');
      expectWhole(target, variant);
      const again = new MemoryTarget(original);
      await fillFile(engine, all.files.original, again, { signal: noSignal });
      expectWhole(again, original);
      expect(await later.caches.termsOf(all.files.original.xetHash ?? '', original.length)).toBeDefined();
    }
  });

  test('of another size than the Hub says are of no use', async () => {
    const all = await setUp();
    await bringOriginal(all);
    const hash = all.files.original.xetHash ?? '';
    expect(await all.caches.termsOf(hash, original.length)).toBeDefined();
    expect(await all.caches.termsOf(hash, original.length - 1)).toBeUndefined();
  });

  test('that contradict themselves are not kept, in no place', async () => {
    const all = await setUp({}, 10);
    await bringOriginal(all);
    const hash = all.files.original.xetHash ?? '';
    const terms = (await all.caches.termsOf(hash, original.length)) ?? [];
    const { records } = await chunksOf(original);
    expect(terms.length).toBeGreaterThan(2);
    const wrong: [string, PlacedTerm[], Uint8Array][] = [
      ['without its first term', terms.slice(1), records],
      ['without its last term', terms.slice(0, -1), records],
      ['with too few chunks', terms, chunkSlice(records, 0, chunkCount(records) - 1)],
      ['with too many chunks', terms, Buffer.concat([records, records.subarray(0, CHUNK_RECORD_BYTES)])],
    ];
    for (const [what, some, list] of wrong) {
      const other = remembering(await scratch(), all.pool, all.budget);
      await other.caches.keepRecipe(hash, original.length, some, list);
      expect(await other.caches.termsOf(hash, original.length), what).toBeUndefined();
      expect(await other.caches.checkFor(hash), what).toBeUndefined();
    }
  });

  test('of a file of several windows are known afterwards, also when it was known and forgotten meanwhile', async () => {
    const all = await setUp({ chunks: false }, 10);
    const { engine } = engineFor(all.hub, {
      ...{ caches: all.caches, pool: all.pool, budget: all.budget, lanes: all.lanes },
      windowBytes: 500_000,
    });
    const hash = all.files.original.xetHash ?? '';
    await fillFile(engine, all.files.original, new MemoryTarget(original), { signal: noSignal });
    expect(await all.caches.termsOf(hash, original.length)).toBeDefined();
    const runs: Uint8Array[] = [];
    const range = { start: 0, end: original.length };
    for await (const { bytes } of readRange(engine, all.files.original, range, { signal: noSignal })) {
      runs.push(bytes);
      // Somebody else got corrupt data, and begins afresh.
      if (runs.length === 2) await all.caches.forget(hash);
    }
    expect(sha256(Buffer.concat(runs))).toBe(sha256(original));
    // Whatever is known of it now, it is right.
    for (const start of [0, 400_000, 1_200_000, 1_800_000]) {
      const bytes = await readAll(all, all.files.original, { start, end: start + 200_000 });
      expect(sha256(bytes)).toBe(sha256(original.subarray(start, start + 200_000)));
    }
    const terms = await all.caches.termsOf(hash, original.length);
    if (terms) expect(terms.reduce((sum, term) => sum + term.unpackedLength, 0)).toBe(original.length);
  });

  test('tell chunks that are wrong from those that are right, and say nothing of others', async () => {
    const all = await setUp({}, 10);
    await bringOriginal(all);
    const hash = all.files.original.xetHash ?? '';
    const check = (await all.caches.checkFor(hash))!;
    const terms = (await all.caches.termsOf(hash, original.length)) ?? [];
    const { records } = await chunksOf(original);
    const wrongAt = (list: Uint8Array, chunk: number, byte: number) => {
      const changed = list.slice();
      const at = chunk * CHUNK_RECORD_BYTES + byte;
      changed[at] = (changed[at] ?? 0) ^ 1;
      return changed;
    };
    let before = 0;
    for (const { xorb, chunks } of terms) {
      const count = chunks.end - chunks.start;
      const own = chunkSlice(records, before, before + count);
      before += count;
      for (let first = 0; first < count; first += 3) {
        const run = chunkSlice(own, first, Math.min(count, first + 4));
        const start = chunks.start + first;
        expect(check(xorb, start, run)).toBe(true);
        for (let chunk = 0; chunk < chunkCount(run); chunk++) {
          expect(check(xorb, start, wrongAt(run, chunk, 0))).toBe(false);
          expect(check(xorb, start, wrongAt(run, chunk, 31))).toBe(false);
          expect(check(xorb, start, wrongAt(run, chunk, 32))).toBe(false);
        }
        if (count > first + 1) expect(check(xorb, start + 1, run)).toBe(false);
      }
      // Of chunks behind those that the file has, nothing is known.
      const beyond = Buffer.concat([own, records.subarray(0, CHUNK_RECORD_BYTES)]);
      expect(check(xorb, chunks.start, beyond)).toBe(true);
      expect(check(xorb, chunks.start, wrongAt(beyond, count, 3))).toBe(true);
      expect(check(xorb, chunks.start, wrongAt(beyond, count - 1, 3))).toBe(false);
    }
    expect(check('f'.repeat(64), 0, records)).toBe(true);
    expect(await all.caches.checkFor('f'.repeat(64))).toBeUndefined();
  });
});

describe('a plan for many terms', () => {
  test('reads each recipe, and looks for each file, once or twice and not for each term', async () => {
    const names = (term: number) => `xorb ${term}`;
    const recipes = memoryRecipeStore();
    const paths = new Map<string, string>();
    const asked = { recipes: 0, paths: 0 };
    // Six files have a part of every term each, and none has all of one.
    for (let source = 0; source < 6; source++) {
      const recipe = recipeOf(
        `source ${source}`,
        Array.from({ length: 60 }, (_, term): TermSample => [names(term), source * 3, source * 3 + 5]),
      );
      await recipes.put(recipe);
      paths.set(recipe.fileHash, `/files/${source}`);
    }
    const counting: RecipeStore = {
      get: (fileHash) => {
        asked.recipes++;
        return recipes.get(fileHash);
      },
      put: (recipe) => recipes.put(recipe),
      filesWith: (xorb, chunks) => recipes.filesWith(xorb, chunks),
      drop: (fileHash) => recipes.drop(fileHash),
      list: () => recipes.list(),
      usage: () => recipes.usage(),
      clear: () => recipes.clear(),
      close: () => recipes.close(),
    };
    const known: VerifiedFiles = {
      ...memoryVerifiedFiles(),
      pathsOf: async (fileHash) => {
        asked.paths++;
        const path = paths.get(fileHash);
        return path === undefined ? [] : [path];
      },
    };
    const pool = new CodecPool({ size: 0, load: loadCodec });
    const budget = new MemoryBudget(MIB, 0);
    const openFile = () => Promise.reject(new Error('Nothing is to be read'));
    const caches = new LocalCaches({
      recipes: counting,
      known,
      chunks: undefined,
      chunkLimitBytes: 0,
      folders: undefined,
      sources: (atHand) => new FileSources({ known, openFile, chunkFile: nothingCut, pool, budget }, atHand),
      budget,
    });
    const wanted = recipeOf(
      'wanted',
      Array.from({ length: 60 }, (_, term): TermSample => [names(term), 0, 40]),
    );
    let at = 0;
    const terms = wanted.terms.map((term) => {
      const placed = { ...term, at };
      at += term.unpackedLength;
      return placed;
    });
    const locals = await caches.findLocalParts(wanted.fileHash, terms, [{ start: 0, end: at }], noSignal);
    expect(locals.length).toBeGreaterThanOrEqual(60);
    const ask = () => Promise.reject(new Error('Nothing is to be asked'));
    expect(await caches.splitTerms(terms, [{ start: 0, end: at }], ask, noSignal)).toEqual(terms);
    expect(asked.recipes).toBeLessThanOrEqual(3 * 7);
    expect(asked.paths).toBeLessThanOrEqual(3 * 6);
  });
});

describe('a file of a hundred thousand terms', () => {
  /** Tiers that have nothing of it, and what they were asked. */
  function emptyCaches(chunks: boolean) {
    const asked = { files: 0, chunks: 0 };
    const budget = new MemoryBudget(64 * MIB, 16 * MIB);
    const pool = new CodecPool({ size: 0, load: loadCodec });
    const recipes = memoryRecipeStore();
    const filesWith = recipes.filesWith.bind(recipes);
    const known = memoryVerifiedFiles();
    const store = memoryChunkStore({ maxBytes: 1e6, hash: async () => new Uint8Array(32) });
    const find = store.find.bind(store);
    const records = store.records.bind(store);
    const caches = new LocalCaches({
      recipes: Object.assign(recipes, {
        filesWith: (...args: Parameters<typeof filesWith>) => {
          asked.files++;
          return filesWith(...args);
        },
      }),
      known,
      chunks: chunks
        ? Object.assign(store, {
            find: (...args: Parameters<typeof find>) => {
              asked.chunks++;
              return find(...args);
            },
            records: (...args: Parameters<typeof records>) => {
              asked.chunks++;
              return records(...args);
            },
          })
        : undefined,
      chunkLimitBytes: 1e6,
      folders: undefined,
      sources: (atHand) =>
        new FileSources({ known, openFile: () => Promise.reject(), chunkFile: nothingCut, pool, budget }, atHand),
      budget,
    });
    return { caches, asked };
  }
  const xorbs = ['a', 'b', 'c'].map((letter) => letter.repeat(64));
  const length = 64 * 1024;
  const terms: PlacedTerm[] = Array.from({ length: 100_000 }, (_, index) => ({
    xorb: xorbs[index % 3] ?? '',
    chunks: { start: index % 1000, end: (index % 1000) + 1 },
    unpackedLength: length,
    at: index * length,
  }));
  const all = [{ start: 0, end: terms.length * length }];
  const ask = () => Promise.reject(new Error('Nothing is to be asked'));

  test.each([true, false])('takes one look for each xorb (chunk store: %s)', async (chunks) => {
    const { caches, asked } = emptyCaches(chunks);
    expect(await caches.findLocalParts('f'.repeat(64), terms, all, noSignal)).toEqual([]);
    expect(await caches.splitTerms(terms, all, ask, noSignal)).toBe(terms);
    expect(asked).toEqual({ files: 2 * 3, chunks: chunks ? 3 : 0 });
  });

  test.each([true, false])('leaves the thread to others, and stops at an abort (chunk store: %s)', async (chunks) => {
    const { caches } = emptyCaches(chunks);
    let turns = 0;
    let going = true;
    const count = () => {
      turns++;
      if (going) setImmediate(count);
    };
    setImmediate(count);
    await caches.findLocalParts('f'.repeat(64), terms, all, noSignal);
    going = false;
    expect(turns).toBeGreaterThan(100);
    let looked = 0;
    const watched = terms.map((term) => ({
      ...term,
      get at() {
        looked++;
        return term.at;
      },
    }));
    const stop = new AbortController();
    setImmediate(() => stop.abort(new Error('enough')));
    const reading = Promise.all([
      rejectionOf(caches.findLocalParts('f'.repeat(64), watched, all, stop.signal)),
      rejectionOf(caches.splitTerms(watched, all, ask, stop.signal)),
    ]);
    expect(await reading).toMatchObject([{ message: 'enough' }, { message: 'enough' }]);
    expect(looked).toBeLessThan(terms.length / 10);
  });
});

describe('checked chunks', () => {
  test('are good up to the first that is not what its record says', async () => {
    const codec = await loadCodec();
    const bytes = original.slice(0, 400_000);
    const { records, starts } = await chunksOf(bytes);
    const count = chunkCount(records);
    expect(codec.checkChunks(bytes, records).good).toBe(count);
    expect(codec.checkChunks(bytes, records).bytes).toBe(bytes);
    expect(codec.checkChunks(new Uint8Array(), new Uint8Array()).good).toBe(0);
    expect(codec.checkChunks(new Uint8Array(), records).good).toBe(0);
    for (let chunk = 0; chunk < count; chunk++) {
      const flipped = bytes.slice();
      const at = (starts[chunk + 1] ?? 0) - 1;
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      expect(codec.checkChunks(flipped, records).good).toBe(chunk);
      expect(codec.checkChunks(bytes.subarray(0, at), records).good).toBe(chunk);
    }
    // More bytes than chunks are none of its business.
    expect(codec.checkChunks(bytes, chunkSlice(records, 0, 2)).good).toBe(2);
  });
});
