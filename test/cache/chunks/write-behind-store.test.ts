import { describe, expect, test } from 'vitest';
import { memoryChunkStore } from '../../../src/cache/chunks/chunk-store.memory.ts';
import type { ChunkRun, ChunkStore } from '../../../src/cache/chunks/chunk-store.ts';
import { writeBehindStore } from '../../../src/cache/chunks/write-behind-store.ts';
import { MemoryBudget } from '../../../src/core/budget.ts';
import { SampleXorbs, sampleHash } from '../../support/chunk-samples.ts';
import { chunkStoreContract } from '../../support/chunk-store-contract.ts';
import { rejectionOf } from '../../support/property.ts';

const MIB = 1024 * 1024;
const roomy = () => new MemoryBudget(64 * MIB, 16 * MIB);

describe('a store that readers do not wait for', () => {
  chunkStoreContract(
    {
      shared: false,
      place: async () => ({ open: async (options) => writeBehindStore(memoryChunkStore(options), roomy()) }),
    },
    { test, equal: (found, expected, note) => expect(found, note).toEqual(expected) },
  );
});

/** A store whose puts wait until they are let go. */
function slowStore() {
  const beneath = memoryChunkStore({ maxBytes: 1024 * MIB, hash: sampleHash });
  const waiting: (() => void)[] = [];
  const given: ArrayBufferLike[] = [];
  const store: ChunkStore = {
    find: (xorb, chunks) => beneath.find(xorb, chunks),
    records: (xorb, chunks) => beneath.records(xorb, chunks),
    read: (xorb, chunks) => beneath.read(xorb, chunks),
    put: async (xorb: string, run: ChunkRun, mine?: boolean) => {
      if (mine) given.push(run.bytes.buffer);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return beneath.put(xorb, run);
    },
    drop: (xorb) => beneath.drop(xorb),
    usage: () => beneath.usage(),
    prune: (bytes) => beneath.prune(bytes),
    clear: () => beneath.clear(),
    close: () => beneath.close(),
  };
  const letGo = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  return { store, waiting, letGo, given };
}

const xorbs = new SampleXorbs();
const whole = { start: 0, end: 20 };

/** Whether something has come to its end by now. */
async function isOver(promise: Promise<unknown>): Promise<boolean> {
  let over = false;
  promise.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  return over;
}

describe('StoreBehind', () => {
  test('a put is over at once, and what it brought is the caller’s again', async () => {
    const slow = slowStore();
    const store = writeBehindStore(slow.store, roomy());
    const run = xorbs.run(1, whole);
    await store.put(xorbs.name(1), run);
    run.bytes.fill(0);
    run.records.fill(0);
    slow.letGo();
    const found = await store.read(xorbs.name(1), whole);
    expect(found && xorbs.wrongIn(1, found)).toBeUndefined();
    expect(found?.chunks).toEqual(whole);
    expect(slow.given.length).toBe(1);
  });

  test.each(['find', 'records', 'read'] as const)(
    '%s waits for what is on its way, of these chunks only',
    async (name) => {
      const slow = slowStore();
      const store = writeBehindStore(slow.store, roomy());
      await store.put(xorbs.name(1), xorbs.run(1, whole));
      const asked = store[name](xorbs.name(1), whole);
      expect(await isOver(asked)).toBe(false);
      expect(await isOver(store[name](xorbs.name(2), whole))).toBe(true);
      expect(await isOver(store[name](xorbs.name(1), { start: 20, end: 30 }))).toBe(true);
      expect(await isOver(store[name](xorbs.name(1), { start: 19, end: 30 }))).toBe(false);
      slow.letGo();
      expect(await asked).not.toEqual([]);
      expect(await asked).toBeDefined();
    },
  );

  test.each(['usage', 'clear', 'close', 'drop', 'prune'] as const)('%s comes after all that was put', async (name) => {
    const slow = slowStore();
    const store = writeBehindStore(slow.store, roomy());
    await store.put(xorbs.name(1), xorbs.run(1, whole));
    const steps = {
      usage: () => store.usage(),
      clear: () => store.clear(),
      close: () => store.close(),
      drop: () => store.drop(xorbs.name(1)),
      prune: () => store.prune(0),
    };
    const step = steps[name]();
    expect(await isOver(step)).toBe(false);
    slow.letGo();
    await step;
    if (name !== 'close') expect((await store.usage()).entries).toBe(name === 'usage' ? 1 : 0);
  });

  test('takes from the budget what it holds, and no more than there is', async () => {
    const slow = slowStore();
    const budget = new MemoryBudget(100_000, 20_000);
    const store = writeBehindStore(slow.store, budget);
    const large = new SampleXorbs(30_000, 30_000);
    await store.put(large.name(1), large.run(1, { start: 0, end: 1 }));
    await store.put(large.name(1), large.run(1, { start: 1, end: 2 }));
    expect(budget.usedBytes).toBe(60_000);
    const third = store.put(large.name(1), large.run(1, { start: 2, end: 3 }));
    expect(await isOver(third)).toBe(false);
    expect([budget.usedBytes, slow.given.length]).toEqual([60_000, 2]);
    slow.letGo();
    await third;
    expect((await store.usage()).entries).toBe(3);
    expect(budget.usedBytes).toBe(0);
  });

  test('whoever brings more than 8 MiB that wait has to wait', async () => {
    const slow = slowStore();
    const store = writeBehindStore(slow.store, roomy());
    const large = new SampleXorbs(128 * 1024, 128 * 1024);
    const put = (start: number) => store.put(large.name(1), large.run(1, { start, end: start + 8 }));
    for (let start = 0; start < 64; start += 8) await put(start);
    const next = put(64);
    expect(await isOver(next)).toBe(false);
    slow.letGo();
    await next;
    await store.close();
  });

  test('what was written down is written to again: no memory is made anew for each run', async () => {
    const slow = slowStore();
    const store = writeBehindStore(slow.store, roomy());
    const large = new SampleXorbs(128 * 1024, 128 * 1024);
    const put = (start: number) => store.put(large.name(1), large.run(1, { start, end: start + 5 }));
    for (const start of [0, 5, 10, 15]) {
      await put(start);
      await put(start + 20);
      slow.letGo();
      await store.usage();
    }
    expect([slow.given.length, new Set(slow.given).size]).toEqual([8, 2]);
    const found = await store.read(large.name(1), { start: 5, end: 10 });
    expect(found && large.wrongIn(1, found)).toBeUndefined();
  });

  test('a run that is none is refused at once', async () => {
    const store = writeBehindStore(slowStore().store, roomy());
    const run = { ...xorbs.run(1, whole), bytes: new Uint8Array(3) };
    expect(await rejectionOf(store.put(xorbs.name(1), run))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
