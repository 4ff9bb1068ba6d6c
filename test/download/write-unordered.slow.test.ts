import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { MemoryBudget } from '../../src/core/budget.ts';
import { chunkCount } from '../../src/core/chunks.ts';
import { XetError } from '../../src/core/errors.ts';
import { Lanes } from '../../src/core/lanes.ts';
import { fillFile } from '../../src/download/fill-file.ts';
import type { TransportParts } from '../../src/download/transport.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import {
  chunksOf,
  draw,
  engineFor,
  heldParts,
  hubWith,
  MemoryTarget,
  repo,
  requests,
  sent,
} from '../support/engines.ts';
import { sha256 } from '../support/hub.ts';
import { rejectionOf } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';

const MIB = 1024 * 1024;
const noSignal = new AbortController().signal;

/** All that is taken is given back. Whatever was under way may take a moment to notice. */
async function expectAllGivenBack({ budget, lanes }: { budget: MemoryBudget; lanes: Lanes }): Promise<void> {
  await vi.waitFor(() => {
    expect(budget.usedBytes).toBe(0);
    expect(lanes.used).toBe(0);
  });
}

/** Waits until nothing moves any more: a number that has stayed the same for a while. */
async function standstill(moving: () => number): Promise<void> {
  for (let same = 0, last = moving(); same < 10; ) {
    await sleep(10);
    same = moving() === last ? same + 1 : 0;
    last = moving();
  }
}

/** Something to wait for, until it is opened. */
function gateway(): { passed: Promise<void>; open: () => void } {
  const gate = { open: () => {}, passed: Promise.resolve() };
  gate.passed = new Promise<void>((resolve) => {
    gate.open = resolve;
  });
  return gate;
}

async function setUp(bytes: Uint8Array, chunksPerXorb: number, parts: Partial<TransportParts> = {}) {
  const hub = await hubWith({ a: bytes }, {}, chunksPerXorb);
  const set = engineFor(hub, parts);
  const file = await set.hubClient.resolve(repo, 'main', 'a');
  return { hub, file, ...set };
}

/** Runs of chunks that are held: some of the file, chosen by a seed. */
function someRuns(chunks: number, seed: number): [number, number][] {
  const random = draw(seed);
  const runs: [number, number][] = [];
  for (let at = random(4); at < chunks; ) {
    const end = Math.min(chunks, at + 1 + random(9));
    runs.push([at, end]);
    at = end + 1 + random(14);
  }
  return runs;
}

function expectWhole(target: MemoryTarget, bytes: Uint8Array): void {
  expect(target.mistakes).toEqual([]);
  expect(target.notOnce).toEqual([]);
  expect(sha256(target.bytes)).toBe(sha256(bytes));
}

describe('a file that is put together in any order', () => {
  test('has every byte written once, whatever was there before', async () => {
    const bytes = randomBytes(4_000_000, 1);
    const { hub, file, engine, budget, lanes } = await setUp(bytes, 9);
    const chunks = chunkCount((await chunksOf(bytes)).records);
    for (const seed of [1, 2, 3, 4, 5]) {
      const held = await heldParts(bytes, seed === 1 ? [] : someRuns(chunks, seed));
      const target = new MemoryTarget(bytes, held);
      hub.resetRequests();
      let network = 0;
      let found = 0;
      const verified = await fillFile(engine, file, target, {
        signal: noSignal,
        report: {
          network: (count) => {
            network += count;
          },
          placed: (count) => {
            found += count;
          },
        },
      });
      expect(verified).toBe('xet');
      expectWhole(target, bytes);
      expect(found).toBe(bytes.length - target.written);
      // Random bytes do not compress: what is fetched is what is missing, and a header for each chunk.
      expect(network).toBe(sent(hub, 'xorb'));
      expect(network).toBeLessThan(target.written + chunks * 16);
      await expectAllGivenBack({ budget, lanes });
    }
  });

  test('is not fetched at all if all of it is there', async () => {
    const bytes = randomBytes(1_000_000, 2);
    const { hub, file, engine } = await setUp(bytes, 9);
    const chunks = chunkCount((await chunksOf(bytes)).records);
    const target = new MemoryTarget(bytes, await heldParts(bytes, [[0, chunks]]));
    hub.resetRequests();
    expect(await fillFile(engine, file, target, { signal: noSignal })).toBe('xet');
    expect(target.writes).toBe(0);
    expect(hub.requests).toEqual([]);
  });

  test('is INTEGRITY if what is there is something else', async () => {
    const bytes = randomBytes(1_000_000, 3);
    const other = randomBytes(1_000_000, 4);
    const { file, engine, budget, lanes } = await setUp(bytes, 9);
    const [part] = await heldParts(bytes, [[2, 5]]);
    const [wrong] = await heldParts(other, [[2, 5]]);
    const target = new MemoryTarget(bytes, [{ ...part!, chunks: wrong!.chunks }]);
    expect(await rejectionOf(fillFile(engine, file, target, { signal: noSignal }))).toMatchObject({
      code: 'INTEGRITY',
    });
    await expectAllGivenBack({ budget, lanes });
  });

  test('waits for no part of it: what comes first is written first', async () => {
    const bytes = randomBytes(4_000_000, 5);
    const { hub, file, engine } = await setUp(bytes, 9);
    // The answer to the first request comes last.
    hub.faults.add({ kind: 'xorb', action: 'stall', afterBytes: 0, ms: 300 });
    const target = new MemoryTarget(bytes);
    const order: number[] = [];
    target.onWrite = (at) => void order.push(at);
    await fillFile(engine, file, target, { signal: noSignal });
    expectWhole(target, bytes);
    expect(order[0]).toBeGreaterThan(0);
    expect(order).toContain(0);
  });

  test('whose terms share chunks has them written at each of their places', async () => {
    const part = randomBytes(700_000, 6);
    const bytes = Buffer.concat([part, randomBytes(900_000, 7), part, part, randomBytes(300_000, 8), part]);
    for (const maxLimit of [64 * MIB, 16 * MIB]) {
      const { hub, file, engine, budget, lanes } = await setUp(bytes, 12, {
        budget: new MemoryBudget(maxLimit, maxLimit / 4),
      });
      hub.resetRequests();
      const target = new MemoryTarget(bytes);
      await fillFile(engine, file, target, { signal: noSignal });
      expectWhole(target, bytes);
      await expectAllGivenBack({ budget, lanes });
    }
  });

  test('fetches chunks that it has in many places once: nothing is held for them', async () => {
    const part = randomBytes(4_000_000, 9);
    const bytes = Buffer.concat([part, randomBytes(500_000, 10), part]);
    // An eighth of this is less than the part.
    const { hub, file, engine } = await setUp(bytes, 8192, { budget: new MemoryBudget(16 * MIB, 4 * MIB) });
    hub.resetRequests();
    const target = new MemoryTarget(bytes);
    await fillFile(engine, file, target, { signal: noSignal });
    expectWhole(target, bytes);
    expect(sent(hub, 'xorb')).toBeLessThan(part.length + 700_000);
  });
});

describe('memory', () => {
  test('stays under a small limit, whatever the number of ranges and requests', async () => {
    const bytes = randomBytes(18_000_000, 11);
    const budget = new MemoryBudget(16 * MIB, 4 * MIB);
    const lanes = new Lanes(32);
    const { file, engine } = await setUp(bytes, 5, { budget, lanes });
    const target = new MemoryTarget(bytes);
    target.onWrite = () => sleep(1);
    await fillFile(engine, file, target, { signal: noSignal });
    expectWhole(target, bytes);
    expect(lanes.peak).toBeGreaterThan(4);
    expect(budget.peakBytes).toBeLessThanOrEqual(16 * MIB);
    await expectAllGivenBack({ budget, lanes });
  });

  test.each([
    ['few long ranges', 8192],
    ['many short ones', 4],
  ])('is bounded while nothing can be written: %s', async (_what, chunksPerXorb) => {
    const bytes = randomBytes(20_000_000, 12);
    const budget = new MemoryBudget(64 * MIB, 16 * MIB);
    const lanes = new Lanes(8);
    const { file, engine } = await setUp(bytes, chunksPerXorb, { budget, lanes });
    const target = new MemoryTarget(bytes);
    const gate = gateway();
    target.onWrite = () => gate.passed;
    let network = 0;
    const filling = fillFile(engine, file, target, {
      signal: noSignal,
      report: {
        network: (count) => {
          network += count;
        },
      },
    });
    await standstill(() => network);
    // What a kill would cost: the backlog, and what each connection is collecting.
    expect(network).toBeLessThanOrEqual(8 * MIB + 9 * MIB);
    expect(network).toBeLessThan(bytes.length);
    expect(budget.usedBytes).toBeLessThanOrEqual(24 * MIB);
    gate.open();
    await filling;
    expectWhole(target, bytes);
    await expectAllGivenBack({ budget, lanes });
  });

  test('is shared by many files at once, which all come to their end', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 9 }, (_, index) => [`f${index}`, randomBytes(1_500_000, 20 + index)]),
    );
    const hub = await hubWith(files, {}, 6);
    for (const concurrency of [1, 24]) {
      const budget = new MemoryBudget(16 * MIB, 4 * MIB);
      const lanes = new Lanes(concurrency);
      const { engine, hubClient } = engineFor(hub, { budget, lanes });
      await Promise.all(
        Object.entries(files).map(async ([path, bytes]) => {
          const file = await hubClient.resolve(repo, 'main', path);
          const target = new MemoryTarget(bytes);
          target.onWrite = () => sleep(1);
          await fillFile(engine, file, target, { signal: noSignal });
          expectWhole(target, bytes);
        }),
      );
      // What a file cannot go on without is let in past the limit, or files could wait for each other for ever.
      expect(budget.peakBytes).toBeLessThanOrEqual(16 * MIB + 9 * 0.75 * MIB);
      await expectAllGivenBack({ budget, lanes });
    }
  });

  test('is not lost to files whose writing never ends, once they are aborted', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 4 }, (_, index) => [
        `f${index}`,
        randomBytes(index === 0 ? 1_000_000 : 11_000_000, 40 + index),
      ]),
    );
    const hub = await hubWith(files, {}, 6);
    const budget = new MemoryBudget(16 * MIB, 4 * MIB);
    const lanes = new Lanes(4);
    const { engine, hubClient } = engineFor(hub, { budget, lanes });
    const stop = new AbortController();
    const gate = gateway();
    const stuck = Object.entries(files)
      .slice(1)
      .map(async ([path, bytes]) => {
        const target = new MemoryTarget(bytes);
        target.onWrite = () => gate.passed;
        return rejectionOf(
          fillFile(engine, await hubClient.resolve(repo, 'main', path), target, { signal: stop.signal }),
        );
      });
    await standstill(() => budget.usedBytes);
    // One file can go on beside those that wait for their disk.
    const target = new MemoryTarget(files.f0!);
    await fillFile(engine, await hubClient.resolve(repo, 'main', 'f0'), target, { signal: noSignal });
    expectWhole(target, files.f0!);
    stop.abort('enough');
    gate.open();
    expect(await Promise.all(stuck)).toEqual(['enough', 'enough', 'enough']);
    await expectAllGivenBack({ budget, lanes });
  });
});

describe('an abort', () => {
  test.each([1, 2, 3, 4, 5, 6])('at any moment ends everything (%i)', async (seed) => {
    const bytes = randomBytes(3_000_000, 50 + seed);
    const random = draw(seed);
    const { hub, file, engine, http, budget, lanes } = await setUp(bytes, 3 + random(20));
    hub.faults.latencyMs = random(3);
    const stop = new AbortController();
    const reason = new Error('enough');
    const target = new MemoryTarget(bytes);
    const last = random(9);
    target.onWrite = async () => {
      if (target.writes > last) stop.abort(reason);
      await sleep(random(3));
    };
    const outcome = await rejectionOf(fillFile(engine, file, target, { signal: stop.signal }));
    const { written } = target;
    if (written < bytes.length) expect(outcome).toBe(reason);
    const asked = http.log.totalRequests;
    expect(target.writing).toBe(0);
    expect(target.mistakes).toEqual([]);
    expect(target.times.some((times) => times > 1)).toBe(false);
    await expectAllGivenBack({ budget, lanes });
    await standstill(() => hub.requests.length);
    expect(http.log.totalRequests).toBe(asked);
    expect(target.written).toBe(written);
  });

  test('before the start asks for nothing', async () => {
    const bytes = randomBytes(100_000, 60);
    const { hub, file, engine } = await setUp(bytes, 9);
    hub.resetRequests();
    const target = new MemoryTarget(bytes);
    const signal = AbortSignal.abort('never');
    expect(await rejectionOf(fillFile(engine, file, target, { signal }))).toBe('never');
    expect(hub.requests).toEqual([]);
  });

  test.each(['reconstruction', 'xorb', 'token'] as const)(
    'does not wait for a server that says nothing (%s)',
    async (kind) => {
      const bytes = randomBytes(2_000_000, 61);
      const { hub, file, engine, budget, lanes } = await setUp(bytes, 4);
      hub.faults.add({ kind, action: 'stall', afterBytes: 0, times: 1e9 });
      const stop = new AbortController();
      const filling = rejectionOf(fillFile(engine, file, new MemoryTarget(bytes), { signal: stop.signal }));
      await vi.waitFor(() => expect(requests(hub, kind).length).toBeGreaterThan(0));
      stop.abort('enough');
      expect(await filling).toBe('enough');
      await expectAllGivenBack({ budget, lanes });
    },
    10_000,
  );

  test('begins no other write', async () => {
    const bytes = randomBytes(8_000_000, 63);
    const { file, engine, budget } = await setUp(bytes, 40);
    const stop = new AbortController();
    const gate = gateway();
    const target = new MemoryTarget(bytes);
    target.onWrite = () => gate.passed;
    const filling = rejectionOf(fillFile(engine, file, target, { signal: stop.signal }));
    await standstill(() => budget.usedBytes);
    const begun = target.writes;
    stop.abort('enough');
    gate.open();
    expect(await filling).toBe('enough');
    expect(target.writes).toBe(begun);
  });

  test('in the middle of one write does not lose it', async () => {
    const bytes = randomBytes(1_000_000, 62);
    const { file, engine } = await setUp(bytes, 4);
    const stop = new AbortController();
    const target = new MemoryTarget(bytes);
    target.onWrite = async () => {
      stop.abort('enough');
      await sleep(20);
    };
    expect(await rejectionOf(fillFile(engine, file, target, { signal: stop.signal }))).toBe('enough');
    // Whoever closes the file next must not do so under a write.
    expect(target.writing).toBe(0);
    expect(target.written).toBeGreaterThan(0);
  });
});

const full = () => new XetError('DISK_FULL', 'The disk is full.');

describe('a write that fails', () => {
  test.each([0, 1, 4, 9])('ends it with that error, and plain HTTP is not tried (%i)', async (after) => {
    const bytes = randomBytes(4_000_000, 70);
    const warnings: string[] = [];
    const { hub, file, engine, budget, lanes } = await setUp(bytes, 5, {
      fallback: true,
      onWarning: (message) => warnings.push(message),
    });
    const target = new MemoryTarget(bytes);
    const error = full();
    target.onWrite = () => {
      if (target.writes > after) throw error;
    };
    hub.resetRequests();
    expect(await rejectionOf(fillFile(engine, file, target, { signal: noSignal }))).toBe(error);
    expect(warnings).toEqual([]);
    expect(requests(hub, 'bridge')).toEqual([]);
    await expectAllGivenBack({ budget, lanes });
    expect(target.writing).toBe(0);
  });

  test('may fail in any way', async () => {
    const bytes = randomBytes(1_000_000, 71);
    const { file, engine, budget, lanes } = await setUp(bytes, 5, { fallback: true });
    for (const error of [new TypeError('a mistake'), 'a string', full()]) {
      const target = new MemoryTarget(bytes);
      target.onWrite = async () => {
        await sleep(1);
        throw error;
      };
      expect(await rejectionOf(fillFile(engine, file, target, { signal: noSignal }))).toBe(error);
      await expectAllGivenBack({ budget, lanes });
    }
  });

  test('in the moment in which another job ends well is told all the same', async () => {
    const bytes = randomBytes(500_000, 72);
    const { file, engine } = await setUp(bytes, 4);
    // How many turns the one takes longer than the other until it is heard of is nothing to rely on.
    for (let lead = -15; lead <= 15; lead++) {
      const target = new MemoryTarget(bytes);
      const waiting: ((error?: XetError) => void)[] = [];
      // The only writes of the first two jobs end together, the second one badly.
      target.onWrite = () => {
        if (waiting.length === 2) return undefined;
        const done = new Promise<void>((resolve, reject) => {
          waiting.push((error) => (error ? reject(error) : resolve()));
        });
        if (waiting.length === 2) {
          void sleep(5).then(async () => {
            const [well, badly] = waiting;
            if (lead >= 0) well?.();
            else badly?.(full());
            for (let turn = 0; turn < Math.abs(lead); turn++) await undefined;
            if (lead >= 0) badly?.(full());
            else well?.();
          });
        }
        return done;
      };
      const error = await rejectionOf(fillFile(engine, file, target, { signal: noSignal }));
      expect(error, `${lead} turns`).toMatchObject({ code: 'DISK_FULL' });
    }
  });

  test('is not a reason to stop for other files', async () => {
    const files = { a: randomBytes(2_000_000, 73), b: randomBytes(2_000_000, 74) };
    const hub = await hubWith(files, {}, 5);
    const { engine, hubClient, budget, lanes } = engineFor(hub);
    const broken = new MemoryTarget(files.a);
    broken.onWrite = () => {
      throw full();
    };
    const fine = new MemoryTarget(files.b);
    const [a, b] = await Promise.all(['a', 'b'].map((path) => hubClient.resolve(repo, 'main', path)));
    const both = await Promise.allSettled([
      fillFile(engine, a!, broken, { signal: noSignal }),
      fillFile(engine, b!, fine, { signal: noSignal }),
    ]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expectWhole(fine, files.b);
    await expectAllGivenBack({ budget, lanes });
  });
});

describe('a fetch that fails', () => {
  const stopAll = (hub: LocalHub, after: number) =>
    hub.faults.add({ kind: 'xorb', action: 'status', status: 404, times: 1e9, after });

  test.each([0, 1, 4])('ends it with that error, and leaves what was written (%i)', async (after) => {
    const bytes = randomBytes(4_000_000, 80);
    const { hub, file, engine, budget, lanes } = await setUp(bytes, 5);
    stopAll(hub, after);
    const target = new MemoryTarget(bytes);
    expect(await rejectionOf(fillFile(engine, file, target, { signal: noSignal }))).toMatchObject({
      code: 'ENTRY_NOT_FOUND',
    });
    expect(target.mistakes).toEqual([]);
    expect(target.writing).toBe(0);
    await expectAllGivenBack({ budget, lanes });
  });
});
