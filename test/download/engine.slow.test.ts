import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { memoryChunkStore } from '../../src/cache/chunks/chunk-store.memory.ts';
import { LocalCaches } from '../../src/cache/local-caches.ts';
import { memoryRecipeStore } from '../../src/cache/recipes/recipe-store.memory.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { MemoryBudget } from '../../src/core/budget.ts';
import { Lanes } from '../../src/core/lanes.ts';
import { fillFile } from '../../src/download/fill-file.ts';
import { readRange } from '../../src/download/read-range.ts';
import type { TransportParts } from '../../src/download/transport.ts';
import { memoryVerifiedFiles } from '../../src/files/verified-files.memory.ts';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub/start.ts';
import { engineFor, hubWith, repo, requests, sent } from '../support/engines.ts';
import { sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes, text } from '../support/samples.ts';

async function readAll(
  hub: LocalHub,
  path: string,
  parts: Partial<TransportParts> = {},
  onNetworkBytes: (bytes: number) => void = () => undefined,
): Promise<Uint8Array> {
  const { engine, hubClient } = engineFor(hub, parts);
  const file = await hubClient.resolve(repo, 'main', path);
  const runs: Uint8Array[] = [];
  let verified = '';
  const content = readRange(
    engine,
    file,
    { start: 0, end: file.size },
    {
      signal: new AbortController().signal,
      report: { network: onNetworkBytes },
      onVerified: (how) => {
        verified = how;
      },
    },
  );
  for await (const { bytes } of content) runs.push(bytes);
  expect(verified).toBe('xet');
  return Buffer.concat(runs);
}

test('a file of several reconstruction windows is verified as one', async () => {
  const bytes = randomBytes(9_000_000, 1);
  const hub = await hubWith({ a: bytes }, {}, 30);
  for (const windowBytes of [1_000_000, 2_500_001, 8_999_999, 9_000_000]) {
    hub.resetRequests();
    expect(sha256(await readAll(hub, 'a', { windowBytes }))).toBe(sha256(bytes));
    // A window may reach past its end, up to a chunk border, so there may be one less than the division says.
    const windows = Math.ceil(bytes.length / windowBytes);
    expect(requests(hub, 'reconstruction').length).toBeLessThanOrEqual(windows);
    expect(requests(hub, 'reconstruction').length).toBeGreaterThanOrEqual(Math.max(1, windows - 1));
  }
});

test.each([true, false])('what is only looked at comes in the same memory again and again: %s', async (lent) => {
  const [some, rest] = [randomBytes(3_000_000, 5), randomBytes(9_000_000, 6)];
  // What comes twice in a file is fetched once, and wanted again after it was given.
  const bytes = Buffer.concat([some, rest, some]);
  const hub = await hubWith({ a: bytes });
  const { engine, hubClient } = engineFor(hub);
  const file = await hubClient.resolve(repo, 'main', 'a');
  const memory = new Set<ArrayBufferLike>();
  const runs: Uint8Array[] = [];
  const range = { start: 0, end: file.size };
  for await (const content of readRange(engine, file, range, { signal: new AbortController().signal, lent })) {
    memory.add(content.bytes.buffer);
    runs.push(lent ? content.bytes.slice() : content.bytes);
  }
  expect(sha256(Buffer.concat(runs))).toBe(sha256(bytes));
  if (lent) expect(memory.size).toBeLessThan(runs.length / 2);
  else expect(memory.size).toBe(runs.length);
});

// A file made of every second chunk of another one: many small ranges of one xorb that do not touch.
async function fragmented(options: LocalHubOptions = {}): Promise<{ hub: LocalHub; bytes: Uint8Array }> {
  const codec = await loadCodec();
  const source = text(6_000_000, 2);
  const chunker = codec.chunker();
  const records = chunker.push(source, true);
  chunker.free();
  const { chunkCount, chunkLength } = await import('../../src/core/chunks.ts');
  const kept: Uint8Array[] = [];
  let at = 0;
  for (let index = 0; index < chunkCount(records); index++) {
    const length = chunkLength(records, index);
    if (index % 2 === 0) kept.push(source.subarray(at, at + length));
    at += length;
  }
  const bytes = Buffer.concat(kept);
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  await hub.commitFiles(repo, { source }, { xet: 'always' });
  await hub.commitFiles(repo, { fragmented: bytes }, { xet: 'always' });
  return { hub, bytes };
}

test('small ranges of one address are asked for together', async () => {
  const { hub, bytes } = await fragmented();
  hub.resetRequests();
  expect(sha256(await readAll(hub, 'fragmented'))).toBe(sha256(bytes));
  const together = requests(hub, 'xorb').length;
  expect(requests(hub, 'xorb').some(({ range }) => range?.includes(','))).toBe(true);
  hub.resetRequests();
  expect(sha256(await readAll(hub, 'fragmented', { together: undefined }))).toBe(sha256(bytes));
  const apart = requests(hub, 'xorb').length;
  expect(requests(hub, 'xorb').every(({ range }) => !range?.includes(','))).toBe(true);
  expect(together * 5).toBeLessThan(apart);
});

test.each([
  ['a missing part', { action: 'dropPart', part: 3 }],
  ['parts in another order', { action: 'reorderParts' }],
  ['an end in the middle', { action: 'truncate', afterBytes: 20_000 }],
  ['a refusal', { action: 'status', status: 403 }],
  ['a broken server', { action: 'status', status: 500 }],
  ['everything in place of parts', { action: 'fullInsteadOfPartial' }],
] as const)('ranges asked for together survive %s', async (_what, fault) => {
  const { hub, bytes } = await fragmented();
  const hit = hub.faults.add({ kind: 'xorb', times: 2, ...fault });
  expect(sha256(await readAll(hub, 'fragmented'))).toBe(sha256(bytes));
  expect(hit.hits).toBeGreaterThan(0);
});

test('a range comes in several requests where none may ask for much', async () => {
  const bytes = randomBytes(6_000_000, 23);
  const hub = await hubWith({ a: bytes });
  const steps = { requestBytes: 1_000_000 };
  expect(sha256(await readAll(hub, 'a', steps))).toBe(sha256(bytes));
  const asked = requests(hub, 'xorb');
  expect(asked.map(({ status }) => status)).toEqual(asked.map(() => 206));
  expect(asked.length).toBe(Math.ceil(sent(hub, 'xorb') / steps.requestBytes));
  expect(Math.max(...asked.map(({ bytesSent }) => bytesSent))).toBe(steps.requestBytes);
});

test('a server that serves whole ranges only is asked for parts of them no longer', async () => {
  const bytes = randomBytes(6_000_000, 24);
  const hub = await hubWith({ a: bytes }, { rangeRule: 'exact' }, 20);
  const lanes = new Lanes(1);
  expect(sha256(await readAll(hub, 'a', { requestBytes: 500_000, lanes }))).toBe(sha256(bytes));
  const asked = requests(hub, 'xorb').map(({ status }) => status);
  expect(asked.length).toBeGreaterThan(4);
  expect(asked).toEqual(asked.map((_, index) => (index < 2 ? 403 : 206)));
});

// shardline has its addresses signed for exactly their range, and says 404 to all others.
test('also one that knows nothing of parts', async () => {
  const bytes = randomBytes(6_000_000, 26);
  const hub = await hubWith({ a: bytes }, {}, 20);
  hub.faults.add({ kind: 'xorb', action: 'status', status: 404, times: 1 });
  expect(sha256(await readAll(hub, 'a', { requestBytes: 500_000, lanes: new Lanes(1) }))).toBe(sha256(bytes));
  const asked = requests(hub, 'xorb').map(({ status }) => status);
  expect(asked.length).toBeGreaterThan(4);
  expect(asked).toEqual(asked.map((_, index) => (index === 0 ? 404 : 206)));
});

test('and it is asked for the whole range again where a connection broke', async () => {
  const bytes = randomBytes(6_000_000, 27);
  const hub = await hubWith({ a: bytes }, {}, 20);
  hub.faults.add({ kind: 'xorb', action: 'truncate', afterBytes: 400_000, times: 1 });
  hub.faults.add({ kind: 'xorb', action: 'status', status: 404, times: 1 });
  expect(sha256(await readAll(hub, 'a', { lanes: new Lanes(1) }))).toBe(sha256(bytes));
  const [broken, refused, whole] = requests(hub, 'xorb');
  expect(refused).toMatchObject({ status: 404, path: broken?.path });
  expect(whole).toMatchObject({ status: 206, path: broken?.path, range: broken?.range });
});

test('a xorb that is not there is an error', async () => {
  const hub = await hubWith({ a: randomBytes(600_000, 28) });
  hub.faults.add({ kind: 'xorb', action: 'status', status: 404, times: 99 });
  expect(await rejectionOf(readAll(hub, 'a'))).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
  expect(requests(hub, 'xorb')).toHaveLength(1);
});

test.each([
  ['a refusal', { action: 'status', status: 403 }],
  ['a broken server', { action: 'status', status: 500 }],
  ['an end in the middle', { action: 'truncate', afterBytes: 20_000 }],
] as const)('a range in several requests survives %s, again and again', async (_what, fault) => {
  const bytes = randomBytes(6_000_000, 25);
  const hub = await hubWith({ a: bytes });
  const hits = [1, 3, 6].map((after) => hub.faults.add({ kind: 'xorb', times: 1, after, ...fault }));
  expect(sha256(await readAll(hub, 'a', { requestBytes: 500_000 }))).toBe(sha256(bytes));
  expect(hits.map((hit) => hit.hits)).toEqual([1, 1, 1]);
  // The rest still came in small parts, and nothing twice.
  expect(Math.max(...requests(hub, 'xorb').map(({ bytesSent }) => bytesSent))).toBeLessThanOrEqual(500_000);
  expect(sent(hub, 'xorb')).toBeLessThan(bytes.length * 1.1);
});

test('a request that crawls while others fly is asked for a second time', async () => {
  const bytes = randomBytes(6_000_000, 4);
  const hub = await hubWith({ a: bytes }, {}, 20);
  const crawl = hub.faults.add({ kind: 'xorb', action: 'trickle', bytesPerSecond: 3000, times: 1, after: 2 });
  expect(sha256(await readAll(hub, 'a'))).toBe(sha256(bytes));
  expect(crawl.hits).toBe(1);
  const asked = requests(hub, 'xorb').map(({ path }) => path);
  // That one was asked for twice, and all the others once.
  expect(asked.length).toBe(new Set(asked).size + 1);
});

test.each([false, true])(
  'a file is written from start to end only where that is asked for: %s',
  async (sequentialWrites) => {
    const bytes = randomBytes(9_000_000, 21);
    const hub = await hubWith({ a: bytes }, {}, 16);
    const { engine, hubClient } = engineFor(hub, { sequentialWrites });
    const file = await hubClient.resolve(repo, 'main', 'a');
    // The first range comes last.
    hub.faults.add({ kind: 'xorb', action: 'delay', ms: 300, times: 1 });
    const written = new Uint8Array(bytes.length);
    const starts: number[] = [];
    const verified = await fillFile(
      engine,
      file,
      {
        held: [],
        unchecked: [],
        read: async function* ({ start, end }) {
          yield written.subarray(start, end);
        },
        write: async (at, run) => {
          starts.push(at);
          written.set(run, at);
        },
      },
      { signal: new AbortController().signal },
    );
    expect(verified).toBe('xet');
    expect(sha256(written)).toBe(sha256(bytes));
    const ascending = starts.every((at, index) => index === 0 || at > (starts[index - 1] ?? 0));
    expect(ascending).toBe(sequentialWrites);
  },
);

describe('a file that repeats its own chunks is streamed', () => {
  /** Content that is made of blocks, some of them again and again. */
  const blocks = Array.from({ length: 6 }, (_, index) => randomBytes(300_000 + index * 150_000, 700 + index));
  const made = (order: readonly number[]) => Buffer.concat(order.flatMap((index) => blocks[index] ?? []));
  /** Bytes that a CAS stores of some content: each chunk once, with its header. */
  const stored = async (bytes: Uint8Array) => {
    const hub = await hubWith({ a: bytes });
    await readAll(hub, 'a', { budget: new MemoryBudget(1 << 30, 1 << 28) });
    return sent(hub, 'xorb');
  };
  const small = () => new MemoryBudget(12 << 20, 3 << 20);

  test.each([
    ['one block after another', [0, 1, 2, 3]],
    ['a small block between all others', [0, 1, 0, 2, 0, 3, 0, 4, 0, 5]],
    ['a block that is the start of what follows', [0, 0, 0, 0, 1, 2, 3, 4, 5]],
    ['the whole twice', [0, 1, 0, 1]],
  ])('with each byte of a xorb fetched once, within the budget: %s', async (_what, order) => {
    const bytes = made(order);
    const hub = await hubWith({ a: bytes });
    const budget = small();
    hub.resetRequests();
    expect(sha256(await readAll(hub, 'a', { budget }))).toBe(sha256(bytes));
    expect(sent(hub, 'xorb')).toBeLessThanOrEqual((await stored(bytes)) + 256 * 1024);
    expect(budget.peakBytes).toBeLessThanOrEqual(budget.limitBytes);
    expect(budget.usedBytes).toBe(0);
  });

  const orders = fc.sample(fc.array(fc.nat(5), { minLength: 2, maxLength: 14 }), { seed: 20260101, numRuns: 5 });
  test.each([[[0, 0, 4, 4, 1]], [[5, 5, 4, 4, 0, 0]], ...orders.map((order) => [order])])(
    'in whatever order its blocks come, and what cannot be held is in the chunk store: %j',
    async (order) => {
      const bytes = made(order);
      const hub = await hubWith({ a: bytes });
      const budget = small();
      const hash = async (chunk: Uint8Array) => (await loadCodec()).chunkHash(chunk);
      const caches = new LocalCaches({
        recipes: memoryRecipeStore(),
        known: memoryVerifiedFiles(),
        chunks: memoryChunkStore({ maxBytes: 1e9, hash }),
        chunkLimitBytes: 1e9,
        folders: undefined,
        budget,
      });
      hub.resetRequests();
      let received = 0;
      const onNetworkBytes = (count: number) => {
        received += count;
      };
      expect(sha256(await readAll(hub, 'a', { budget, caches }, onNetworkBytes))).toBe(sha256(bytes));
      // A range that is left for a later piece is read a little past the chunk where it is left.
      const slack = 256 * 1024 * requests(hub, 'xorb').length;
      expect(received).toBeLessThanOrEqual((await stored(bytes)) + slack);
      expect(budget.peakBytes).toBeLessThanOrEqual(budget.limitBytes);
    },
  );
});
