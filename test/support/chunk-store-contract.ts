import fc from 'fast-check';
import {
  type ChunkStoreOptions,
  mergeRanges,
  rangesWithin,
  subtractRanges,
} from '../../src/cache/chunks/chunk-runs.ts';
import type { ChunkStore } from '../../src/cache/chunks/chunk-store.ts';
import { isXetError, type XetErrorCode } from '../../src/core/errors.ts';
import type { ChunkRange } from '../../src/core/ranges.ts';
import { randomNumbers, SampleXorbs, sampleHash } from './chunk-samples.ts';

/** Where a store keeps its things; each is empty at first and apart from all others. */
export interface StorePlace {
  /** A store over this place: opened twice, both are stores of the same things. */
  open(options: ChunkStoreOptions): Promise<ChunkStore>;
  /** Bytes that are really taken, where that can be seen from outside. */
  measure?(): Promise<number>;
}

export interface StoreKind {
  /** Whether stores of this kind hash for themselves, as the samples do. */
  ownHash?: boolean;
  /** Whether what is in a place outlives a store, and can be opened more than once at a time. */
  shared: boolean;
  place(): Promise<StorePlace>;
}

/** What the contract needs of a test runner; nothing of Vitest, so that a page can run it. */
export interface ContractHooks {
  test(name: string, run: () => Promise<void>): void;
  /** Deep equality; the note says which of many cases is meant. */
  equal(found: unknown, expected: unknown, note?: string): void;
}

const KB = 1024;
const SEED = 20260101;
const ROOMY = 1024 * KB * KB;
/** The limit may be passed by this share at most, whatever happens. */
export const TOLERANCE = 1.05;

/** What every chunk store does, wherever it keeps its things. */
export function chunkStoreContract(kind: StoreKind, { test, equal }: ContractHooks): void {
  const xorbs = new SampleXorbs();
  const open = async (maxBytes = ROOMY, hash: ChunkStoreOptions['hash'] = sampleHash) =>
    (await kind.place()).open({ maxBytes, hash });
  const put = (store: ChunkStore, xorb: number, start: number, end: number, from = xorbs) =>
    store.put(from.name(xorb), from.run(xorb, { start, end }));
  const find = (store: ChunkStore, xorb: number, start: number, end: number) =>
    store.find(xorbs.name(xorb), { start, end });
  /** The range that a read gave, after a look at its bytes. */
  const read = async (store: ChunkStore, xorb: number, start: number, end: number, from = xorbs) => {
    const found = await store.read(from.name(xorb), { start, end });
    if (found) equal(from.wrongIn(xorb, found), undefined);
    return found?.chunks;
  };
  const codeOf = async (step: () => Promise<unknown>): Promise<XetErrorCode | 'none'> => {
    try {
      await step();
      return 'none';
    } catch (error) {
      if (isXetError(error)) return error.code;
      throw error;
    }
  };

  test('an empty store has nothing', async () => {
    const store = await open();
    equal(await find(store, 1, 0, 100), []);
    equal(await read(store, 1, 0, 100), undefined);
    equal(await store.usage(), { bytes: 0, entries: 0 });
    equal(await store.prune(0), 0);
    await store.clear();
    await store.close();
  });

  test('what was put is found and read, all of it or parts', async () => {
    const store = await open();
    await put(store, 1, 10, 30);
    equal(await find(store, 1, 0, 100), [{ start: 10, end: 30 }]);
    equal(await find(store, 1, 15, 20), [{ start: 15, end: 20 }]);
    equal(await find(store, 1, 25, 31), [{ start: 25, end: 30 }]);
    equal(await find(store, 1, 0, 10), []);
    equal(await find(store, 1, 30, 40), []);
    equal(await find(store, 1, 12, 12), []);
    equal(await read(store, 1, 10, 30), { start: 10, end: 30 });
    equal(await read(store, 1, 10, 11), { start: 10, end: 11 });
    equal(await read(store, 1, 29, 30), { start: 29, end: 30 });
    equal(await read(store, 1, 17, 200), { start: 17, end: 30 });
    equal(await read(store, 1, 9, 30), undefined);
    equal(await read(store, 1, 30, 31), undefined);
    equal(await read(store, 1, 12, 12), undefined);
    await store.close();
  });

  test('says what chunks in a row are without reading them, up to the first that is not here', async () => {
    const store = await open();
    const records = (start: number, end: number) => store.records(xorbs.name(1), { start, end });
    const right = (start: number, end: number) => [...xorbs.run(1, { start, end }).records];
    equal(await records(0, 9), new Uint8Array());
    await put(store, 1, 2, 9);
    await put(store, 1, 9, 20);
    await put(store, 1, 30, 31);
    equal([...(await records(2, 100))], right(2, 20));
    equal([...(await records(4, 12))], right(4, 12));
    equal([...(await records(30, 31))], right(30, 31));
    for (const [start, end] of [
      [0, 9],
      [20, 31],
      [31, 32],
      [5, 5],
    ] as const) {
      equal(await records(start, end), new Uint8Array(), `${start} to ${end}`);
    }
    await store.close();
  });

  test('other xorbs have nothing of it', async () => {
    const store = await open();
    await put(store, 1, 0, 5);
    equal(await find(store, 2, 0, 5), []);
    equal(await read(store, 2, 0, 5), undefined);
    // The first digits decide where it lies.
    const near = `${xorbs.name(1).slice(0, -1)}0`;
    equal(await store.find(near, { start: 0, end: 5 }), []);
    equal(await store.read(near, { start: 0, end: 5 }), undefined);
    await store.close();
  });

  test('an empty run is nothing', async () => {
    const store = await open();
    await put(store, 1, 7, 7);
    equal(await store.usage(), { bytes: 0, entries: 0 });
    await store.close();
  });

  test('chunks of the greatest length, and the last one that a xorb can have', async () => {
    const large = new SampleXorbs(128 * KB, 128 * KB);
    const store = await open();
    await put(store, 3, 0, 12, large);
    equal(await read(store, 3, 0, 12, large), { start: 0, end: 12 });
    await put(store, 1, 8190, 8192);
    equal(await read(store, 1, 8191, 8192), { start: 8191, end: 8192 });
    await store.close();
  });

  test('runs that touch or overlap are found as one, and kept once', async () => {
    const store = await open();
    await put(store, 1, 0, 10);
    const before = (await store.usage()).bytes;
    await put(store, 1, 2, 9);
    await put(store, 1, 0, 10);
    equal((await store.usage()).bytes, before);
    await put(store, 1, 5, 20);
    await put(store, 1, 20, 25);
    await put(store, 1, 40, 45);
    equal(await find(store, 1, 0, 100), [
      { start: 0, end: 25 },
      { start: 40, end: 45 },
    ]);
    const apart = await open();
    await put(apart, 1, 0, 25);
    await put(apart, 1, 40, 45);
    const least = (await apart.usage()).bytes;
    const { bytes } = await store.usage();
    equal(bytes <= least + 3 * 8 * KB, true, `${bytes} bytes for what takes ${least} if put once`);
    for (let start = 0; start < 25; ) start = (await read(store, 1, start, 25))?.end ?? Number.NaN;
    // A run that fills gaps on both sides of what is there.
    await put(store, 1, 22, 60);
    equal(await find(store, 1, 0, 100), [{ start: 0, end: 60 }]);
    for (let start = 0; start < 60; ) start = (await read(store, 1, start, 60))?.end ?? Number.NaN;
    await store.close();
    await apart.close();
  });

  test('the caller owns what it gives and what it gets', async () => {
    const store = await open();
    const given = xorbs.run(1, { start: 0, end: 4 });
    // A view into something larger, as runs are.
    const surroundings = new Uint8Array(given.bytes.length + 200);
    surroundings.set(given.bytes, 100);
    await store.put(xorbs.name(1), { ...given, bytes: surroundings.subarray(100, 100 + given.bytes.length) });
    surroundings.fill(0);
    given.records.fill(0);
    const got = await store.read(xorbs.name(1), { start: 0, end: 4 });
    equal(got && xorbs.wrongIn(1, got), undefined);
    equal(got?.bytes.buffer === got?.records.buffer, false);
    got?.bytes.fill(0);
    got?.records.fill(0);
    equal(await read(store, 1, 0, 4), { start: 0, end: 4 });
    await store.close();
  });

  test('the memory of what was given it is of use again when that is kept', async () => {
    const store = await open();
    const run = xorbs.run(1, { start: 0, end: 4 });
    const memoryBytes = run.bytes.length + 200;
    const memory = new Uint8Array(memoryBytes);
    memory.set(run.bytes, 100);
    const given = { ...run, bytes: memory.subarray(100, 100 + run.bytes.length) };
    const back = (await store.put(xorbs.name(1), given, true)) ?? memory.buffer;
    equal(back.byteLength, memoryBytes);
    new Uint8Array(back).fill(0);
    equal(await read(store, 1, 0, 4), { start: 0, end: 4 });
    await store.close();
  });

  const whereHashed = kind.ownHash ? () => undefined : test;
  whereHashed('a hash may be a promise', async () => {
    const store = await open(ROOMY, async (chunk) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return sampleHash(chunk);
    });
    await put(store, 1, 0, 6);
    equal(await read(store, 1, 2, 6), { start: 2, end: 6 });
    await store.close();
  });

  test('what does not have the hash that it was put with is not given, and is forgotten', async () => {
    const store = await open();
    const run = xorbs.run(1, { start: 0, end: 6 });
    const third = xorbs.chunk(1, 0).length + xorbs.chunk(1, 1).length + xorbs.chunk(1, 2).length;
    run.bytes[third] = (run.bytes[third] ?? 0) ^ 4;
    await store.put(xorbs.name(1), run);
    // What comes before is good; then the entry is gone.
    equal(await read(store, 1, 1, 6), { start: 1, end: 3 });
    equal(await find(store, 1, 0, 6), []);
    equal((await store.usage()).entries, 0);
    await store.put(xorbs.name(1), run);
    equal(await read(store, 1, 3, 6), undefined);
    await put(store, 1, 0, 6);
    equal(await read(store, 1, 0, 6), { start: 0, end: 6 });
    await store.close();
  });

  test('the limit holds, and what was not used for the longest time goes first', async () => {
    const large = new SampleXorbs(60 * KB, 60 * KB);
    const place = await kind.place();
    const store = await place.open({ maxBytes: 400 * KB, hash: sampleHash });
    for (let xorb = 0; xorb < 6; xorb++) {
      await put(store, xorb, 0, 1, large);
      await pause(20);
    }
    await pause(1100);
    // A use is written down once in a while only, so this one is the first for a second.
    equal(await read(store, 0, 0, 1, large), { start: 0, end: 1 });
    equal(await read(store, 2, 0, 1, large), { start: 0, end: 1 });
    await pause(100);
    for (let xorb = 6; xorb < 9; xorb++) {
      await put(store, xorb, 0, 1, large);
      await pause(20);
      const { bytes } = await store.usage();
      equal(bytes <= 400 * KB, true, `${bytes} bytes`);
    }
    const here: number[] = [];
    for (let xorb = 0; xorb < 9; xorb++) if (await read(store, xorb, 0, 1, large)) here.push(xorb);
    equal(here.slice(-3), [6, 7, 8]);
    equal(here.includes(0) && here.includes(2), true, `left are ${here}`);
    equal(here.includes(1) || here.includes(3), false, `left are ${here}`);
    await store.close();
  });

  test('a run that can never fit is left out, at the cost of nothing', async () => {
    const store = await open(100 * KB);
    const large = new SampleXorbs(60 * KB, 60 * KB);
    await put(store, 1, 0, 5);
    await put(store, 2, 0, 2, large);
    equal(await read(store, 1, 0, 5), { start: 0, end: 5 });
    equal(await find(store, 2, 0, 2), []);
    await store.close();
    const none = await open(0);
    await put(none, 1, 0, 5);
    equal(await none.usage(), { bytes: 0, entries: 0 });
    await none.close();
  });

  test('pruning removes the oldest and says how much', async () => {
    const store = await open();
    for (let xorb = 0; xorb < 8; xorb++) {
      await put(store, xorb, 0, 8);
      await pause(20);
    }
    const before = await store.usage();
    equal(before.entries, 8);
    const half = before.bytes / 2;
    const freed = await store.prune(half);
    const after = await store.usage();
    equal(before.bytes - after.bytes, freed);
    equal(after.bytes <= half && after.entries >= 3, true, `${after.entries} entries, ${after.bytes} bytes`);
    equal(await read(store, 7, 0, 8), { start: 0, end: 8 });
    equal(await find(store, 0, 0, 8), []);
    equal(await store.prune(half), 0);
    equal(await store.prune(0), after.bytes);
    equal(await store.usage(), { bytes: 0, entries: 0 });
    await store.close();
  });

  test('a cleared store is empty and can be used again', async () => {
    const store = await open();
    for (let xorb = 0; xorb < 5; xorb++) await put(store, xorb, 0, 3);
    await store.clear();
    equal(await store.usage(), { bytes: 0, entries: 0 });
    equal(await find(store, 2, 0, 3), []);
    await put(store, 2, 0, 3);
    equal(await read(store, 2, 0, 3), { start: 0, end: 3 });
    await store.close();
  });

  test('what cannot be meant is refused', async () => {
    const store = await open();
    const run = xorbs.run(1, { start: 0, end: 3 });
    const all = { start: 0, end: 3 };
    for (const name of ['', 'xyz', '../../../etc/passwd', xorbs.name(1).slice(1), `${xorbs.name(10).toUpperCase()}`]) {
      equal(await codeOf(() => store.find(name, all)), 'INVALID_ARGUMENT', name);
      equal(await codeOf(() => store.read(name, all)), 'INVALID_ARGUMENT', name);
      equal(await codeOf(() => store.put(name, run)), 'INVALID_ARGUMENT', name);
    }
    for (const bad of [
      { ...run, chunks: { start: 0, end: 2 } },
      { ...run, chunks: { start: -1, end: 2 } },
      { ...run, chunks: { start: 0.5, end: 3.5 } },
      { ...run, chunks: { start: 8190, end: 8193 } },
      { ...run, records: run.records.subarray(1) },
      { ...run, bytes: run.bytes.subarray(1) },
      new SampleXorbs(128 * KB + 1, 128 * KB + 1).run(1, { start: 0, end: 1 }),
    ]) {
      equal(await codeOf(() => store.put(xorbs.name(1), bad)), 'INVALID_ARGUMENT');
    }
    equal(await store.usage(), { bytes: 0, entries: 0 });
    await store.close();
  });

  test('a closed store has nothing and takes nothing', async () => {
    const store = await open();
    await put(store, 1, 0, 5);
    await store.close();
    equal(await find(store, 1, 0, 5), []);
    equal(await read(store, 1, 0, 5), undefined);
    await put(store, 1, 5, 9);
    for (const step of [() => store.usage(), () => store.prune(0), () => store.clear()]) {
      equal(await codeOf(step), 'CLOSED');
    }
    await store.close();
  });

  test('puts and reads at the same time', async () => {
    const store = await open();
    const steps: Promise<unknown>[] = [];
    for (let turn = 0; turn < 60; turn++) {
      const [xorb, start] = [turn % 3, (turn * 7) % 40];
      steps.push(put(store, xorb, start, start + 10), read(store, xorb, start, start + 10));
      steps.push(find(store, xorb, 0, 100));
    }
    await Promise.all(steps);
    for (let xorb = 0; xorb < 3; xorb++) {
      for (const { start, end } of await find(store, xorb, 0, 100)) {
        for (let at = start; at < end; ) at = (await read(store, xorb, at, end))?.end ?? Number.NaN;
      }
    }
    await store.close();
  });

  test('has exactly what was put, as long as there is room', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(randomStep, { maxLength: 60 }), async (steps) => {
        const store = await open();
        const held = new Map<number, ChunkRange[]>();
        for (const { xorb, start, length, kind: step } of steps) {
          const range = { start, end: start + length };
          const here = held.get(xorb) ?? [];
          if (step === 'put') {
            await put(store, xorb, range.start, range.end);
            held.set(xorb, mergeRanges([...here, range]));
          } else if (step === 'find') {
            equal(await store.find(xorbs.name(xorb), range), rangesWithin(here, range));
          } else {
            const found = await read(store, xorb, range.start, range.end);
            const wanted = rangesWithin(here, range)[0];
            equal(found?.start, wanted?.start === start ? start : undefined);
            if (found) equal(subtractRanges(found, [wanted as ChunkRange]), []);
          }
        }
        await store.close();
      }),
      { seed: SEED, numRuns: 15 },
    );
  });

  test('keeps to its limit and to the truth under a random load', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(randomStep, { minLength: 40, maxLength: 120 }),
        fc.integer({ min: 60, max: 300 }),
        async (steps, kilobytes) => {
          const maxBytes = kilobytes * KB;
          const place = await kind.place();
          const store = await place.open({ maxBytes, hash: sampleHash });
          for (const { xorb, start, length, kind: step } of steps) {
            const range = { start, end: start + length };
            if (step === 'put') {
              await put(store, xorb, range.start, range.end);
              const { bytes } = await store.usage();
              const measured = (await place.measure?.()) ?? 0;
              equal(bytes <= maxBytes && measured <= maxBytes, true, `${bytes}, ${measured} of ${maxBytes} bytes`);
            } else if (step === 'find') {
              const found = await store.find(xorbs.name(xorb), range);
              equal(found, rangesWithin(found, range));
            } else {
              await read(store, xorb, range.start, range.end);
            }
          }
          await store.close();
        },
      ),
      { seed: SEED, numRuns: 10 },
    );
  });

  if (!kind.shared) return;

  test('what was put is there for the next one', async () => {
    const place = await kind.place();
    const options = { maxBytes: ROOMY, hash: sampleHash };
    const first = await place.open(options);
    await put(first, 1, 0, 9);
    const second = await place.open(options);
    equal(await read(second, 1, 3, 9), { start: 3, end: 9 });
    equal(await second.usage(), await first.usage());
    await first.close();
    await second.close();
    const third = await place.open(options);
    equal(await find(third, 1, 0, 100), [{ start: 0, end: 9 }]);
    await third.close();
  });

  test('closing waits for what is being put', async () => {
    const place = await kind.place();
    const store = await place.open({ maxBytes: ROOMY, hash: sampleHash });
    const puts = [1, 2, 3, 4, 5].map((xorb) => put(store, xorb, 0, 20));
    await store.close();
    const next = await place.open({ maxBytes: ROOMY, hash: sampleHash });
    for (let xorb = 1; xorb <= 5; xorb++) equal(await read(next, xorb, 0, 20), { start: 0, end: 20 });
    await Promise.all(puts);
    await next.close();
  });

  test('a smaller limit holds from the next put on', async () => {
    const place = await kind.place();
    const roomy = await place.open({ maxBytes: ROOMY, hash: sampleHash });
    for (let xorb = 0; xorb < 20; xorb++) await put(roomy, xorb, 0, 20);
    await roomy.close();
    const tight = await place.open({ maxBytes: 100 * KB, hash: sampleHash });
    await put(tight, 30, 0, 20);
    const { bytes } = await tight.usage();
    equal(bytes <= 100 * KB, true, `${bytes} bytes`);
    equal(await read(tight, 30, 0, 20), { start: 0, end: 20 });
    await tight.close();
  });

  test('several stores over one place keep to the limit together', async () => {
    const place = await kind.place();
    const maxBytes = 3000 * KB;
    const large = new SampleXorbs(5 * KB, 20 * KB);
    const stores = await Promise.all([1, 2, 3].map(() => place.open({ maxBytes, hash: sampleHash })));
    let most = 0;
    await Promise.all(
      stores.map(async (store, index) => {
        const random = randomNumbers(index + 50);
        for (let turn = 0; turn < 100; turn++) {
          const [xorb, start] = [Math.floor(random() * 4), Math.floor(random() * 100)];
          if (random() < 0.6) await put(store, xorb, start, start + 1 + Math.floor(random() * 6), large);
          else await read(store, xorb, start, start + 5, large);
          if (turn % 10 === 0) most = Math.max(most, (await place.measure?.()) ?? (await store.usage()).bytes);
        }
      }),
    );
    equal(most <= maxBytes * TOLERANCE, true, `${most} of ${maxBytes} bytes`);
    equal(most > maxBytes * 0.7, true, `the limit was never near: ${most} of ${maxBytes} bytes`);
    for (const store of stores) await store.close();
  });

  test('one clears while another reads and puts', async () => {
    const place = await kind.place();
    const [one, other] = [
      await place.open({ maxBytes: ROOMY, hash: sampleHash }),
      await place.open({ maxBytes: ROOMY, hash: sampleHash }),
    ];
    for (let turn = 0; turn < 10; turn++) {
      await Promise.all([
        put(one, 1, 0, 20),
        put(one, 2, 0, 20),
        read(one, 1, 0, 20),
        other.clear(),
        read(one, 2, 5, 20),
      ]);
    }
    await put(one, 1, 0, 20);
    equal(await read(other, 1, 0, 20), { start: 0, end: 20 });
    await one.close();
    await other.close();
  });
}

const randomStep = fc.record({
  kind: fc.constantFrom('put' as const, 'put' as const, 'read' as const, 'find' as const),
  xorb: fc.integer({ min: 0, max: 2 }),
  start: fc.integer({ min: 0, max: 60 }),
  length: fc.integer({ min: 0, max: 25 }),
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
