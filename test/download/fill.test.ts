import { describe, expect, test, vi } from 'vitest';
import { chunkCount } from '../../src/core/chunks.ts';
import { fillFile } from '../../src/download/fill-file.ts';
import type { FaultRule } from '../../src/entries/local-hub.ts';
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
import { randomBytes, text } from '../support/samples.ts';

const noSignal = new AbortController().signal;

function expectWhole(target: MemoryTarget, bytes: Uint8Array): void {
  expect(target.mistakes).toEqual([]);
  expect(target.notOnce).toEqual([]);
  expect(sha256(target.bytes)).toBe(sha256(bytes));
}

describe('a file that is filled in', () => {
  /** What may go wrong with one request, and is made good by the next. */
  const mishaps: ((random: (below: number) => number) => FaultRule)[] = [
    (random) => ({ kind: 'xorb', action: 'reset', afterBytes: random(300_000) }),
    (random) => ({ kind: 'xorb', action: 'truncate', afterBytes: random(300_000) }),
    (random) => ({ kind: 'xorb', action: 'shorten', toBytes: random(200_000) }),
    (random) => ({ kind: 'xorb', action: 'status', status: [500, 503, 429, 403, 502][random(5)] ?? 500 }),
    () => ({ kind: 'xorb', action: 'refuse' }),
    (random) => ({ kind: 'xorb', action: 'wrongRange', shiftBytes: 1 + random(9) }),
    () => ({ kind: 'xorb', action: 'fullInsteadOfPartial' }),
    (random) => ({ kind: 'xorb', action: 'stall', afterBytes: random(200_000), ms: random(40) }),
    (random) => ({ kind: 'xorb', action: 'delay', ms: random(40) }),
    () => ({ kind: 'reconstruction', action: 'garbageJson' }),
    () => ({ kind: 'reconstruction', action: 'refuse' }),
    () => ({ kind: 'token', action: 'status', status: 500 }),
  ];

  test.each([1, 2, 3, 4, 5, 6])('survives what goes wrong on the way (%i)', async (seed) => {
    const random = draw(seed);
    const bytes = randomBytes(2_500_000, 100 + seed);
    const hub = await hubWith({ a: bytes }, {}, 4 + random(30));
    const { engine, hubClient, budget, lanes } = engineFor(hub);
    const file = await hubClient.resolve(repo, 'main', 'a');
    for (let count = 0; count < 3; count++) {
      const rule = mishaps[random(mishaps.length)]?.(random);
      if (rule) hub.faults.add({ ...rule, after: random(5) });
    }
    const chunks = chunkCount((await chunksOf(bytes)).records);
    const held = await heldParts(bytes, [[random(chunks - 3), chunks - random(3)]]);
    const target = new MemoryTarget(bytes, seed % 2 === 0 ? held : []);
    expect(await fillFile(engine, file, target, { signal: noSignal })).toBe('xet');
    expectWhole(target, bytes);
    await vi.waitFor(() => expect([budget.usedBytes, lanes.used]).toEqual([0, 0]));
  });

  test('has a flipped byte of a frame made good, without anything being written twice', async () => {
    const bytes = text(3_000_000, 110);
    const hub = await hubWith({ a: bytes }, {}, 12);
    const { engine, hubClient } = engineFor(hub);
    const file = await hubClient.resolve(repo, 'main', 'a');
    for (const offset of [0, 4, 5, 7]) {
      const hit = hub.faults.add({ kind: 'xorb', action: 'corrupt', offset, mask: 0x40, after: 1 });
      const target = new MemoryTarget(bytes);
      expect(await fillFile(engine, file, target, { signal: noSignal })).toBe('xet');
      expectWhole(target, bytes);
      expect(hit.hits).toBe(1);
    }
  });

  test('has a flipped byte made good also if the connection breaks when it is fetched again', async () => {
    const bytes = text(2_000_000, 114);
    const hub = await hubWith({ a: bytes });
    const { engine, hubClient } = engineFor(hub);
    const file = await hubClient.resolve(repo, 'main', 'a');
    for (const fault of [
      { action: 'reset', afterBytes: 1000 },
      { action: 'status', status: 500 },
      { action: 'refuse' },
    ] as const) {
      hub.faults.clear();
      // The length that a frame announces: the frame is cut off as it should be, and cannot be decoded.
      hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5, mask: 0x40 });
      const hit = hub.faults.add({ kind: 'xorb', ...fault });
      const target = new MemoryTarget(bytes);
      expect(await fillFile(engine, file, target, { signal: noSignal })).toBe('xet');
      expect(hit.hits).toBe(1);
      expectWhole(target, bytes);
    }
  });

  test('is INTEGRITY with a flipped byte of stored chunks, and right when it is fetched afresh', async () => {
    const bytes = randomBytes(1_000_000, 111);
    const hub = await hubWith({ a: bytes }, {}, 12);
    const { engine, hubClient, budget, lanes } = engineFor(hub, { fallback: true });
    const file = await hubClient.resolve(repo, 'main', 'a');
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5000 });
    const error = await rejectionOf(fillFile(engine, file, new MemoryTarget(bytes), { signal: noSignal }));
    expect(error).toMatchObject({ code: 'INTEGRITY' });
    const target = new MemoryTarget(bytes);
    expect(await fillFile(engine, file, target, { signal: noSignal, policy: 'refetch' })).toBe('xet');
    expectWhole(target, bytes);
    expect(requests(hub, 'bridge')).toEqual([]);
    expect([budget.usedBytes, lanes.used]).toEqual([0, 0]);
  });

  test('from start to end is written in that order around what is there', async () => {
    const bytes = randomBytes(3_000_000, 113);
    const hub = await hubWith({ a: bytes }, {}, 15);
    const { engine, hubClient, budget, lanes } = engineFor(hub, { sequentialWrites: true });
    const file = await hubClient.resolve(repo, 'main', 'a');
    const runs: [number, number][][] = [
      [],
      [[0, 4]],
      [
        [3, 4],
        [6, 9],
        [20, 31],
      ],
    ];
    for (const held of runs) {
      const target = new MemoryTarget(bytes, await heldParts(bytes, held));
      const starts: number[] = [];
      target.onWrite = (at) => void starts.push(at);
      expect(await fillFile(engine, file, target, { signal: noSignal })).toBe('xet');
      expectWhole(target, bytes);
      expect(starts).toEqual([...starts].sort((a, b) => a - b));
      expect(target.mostAtOnce).toBe(1);
      expect([budget.usedBytes, lanes.used]).toEqual([0, 0]);
    }
  });

  test('in several windows asks for each of them once, and not for one that is there', async () => {
    const bytes = randomBytes(6_000_000, 112);
    const hub = await hubWith({ a: bytes }, {}, 20);
    const { engine, hubClient } = engineFor(hub, { windowBytes: 1_000_000 });
    const file = await hubClient.resolve(repo, 'main', 'a');
    hub.resetRequests();
    const target = new MemoryTarget(bytes);
    await fillFile(engine, file, target, { signal: noSignal });
    expectWhole(target, bytes);
    expect(requests(hub, 'reconstruction').length).toBeLessThanOrEqual(6);

    const { starts } = await chunksOf(bytes);
    const from = starts.findIndex((start) => start > 1_100_000);
    const to = starts.findIndex((start) => start > 4_900_000);
    const half = new MemoryTarget(bytes, await heldParts(bytes, [[from, to]]));
    hub.resetRequests();
    await fillFile(engine, file, half, { signal: noSignal });
    expectWhole(half, bytes);
    expect(requests(hub, 'reconstruction').length).toBeLessThanOrEqual(4);
  });
});

describe('plain HTTP in place of Xet', () => {
  const gone: FaultRule = { kind: 'xorb', action: 'status', status: 404, times: 1e9 };

  test.each([0, 1, 3, 6])('brings what is still missing, and nothing else (%i)', async (after) => {
    const bytes = randomBytes(4_000_000, 120);
    const hub = await hubWith({ a: bytes }, {}, 8);
    const warnings: string[] = [];
    const { engine, hubClient, http } = engineFor(hub, {
      fallback: true,
      onWarning: (message) => warnings.push(message),
    });
    const file = await hubClient.resolve(repo, 'main', 'a');
    hub.faults.add({ ...gone, after });
    const target = new MemoryTarget(bytes, await heldParts(bytes, [[5, 9]]));
    let fellBack = 0;
    const verified = await fillFile(engine, file, target, {
      signal: noSignal,
      onFallback: () => {
        fellBack++;
      },
    });
    expect(verified).toBe('sha256');
    expectWhole(target, bytes);
    expect(fellBack).toBe(1);
    expect(warnings).toHaveLength(1);
    // Nothing that Xet or an earlier try brought comes again.
    expect(sent(hub, 'bridge')).toBe(http.log.bytes.fallback);
    expect(sent(hub, 'bridge')).toBeLessThanOrEqual(bytes.length - (target.held[0]!.end - target.held[0]!.start));
    expect(target.written).toBeGreaterThanOrEqual(sent(hub, 'bridge'));
    if (after === 6) expect(target.written).toBeGreaterThan(sent(hub, 'bridge'));
  });

  test('takes what an earlier try brought that way, and finds out if it is wrong', async () => {
    const bytes = randomBytes(2_000_000, 121);
    const hub = await hubWith({ a: bytes });
    const { engine, hubClient } = engineFor(hub, { xet: false });
    const file = await hubClient.resolve(repo, 'main', 'a');
    const unchecked = [
      { start: 0, end: 300_001 },
      { start: 777_777, end: 1_500_000 },
    ];
    const target = new MemoryTarget(bytes, [], unchecked);
    let found = 0;
    const options = {
      signal: noSignal,
      report: {
        placed: (count: number) => {
          found += count;
        },
      },
    };
    hub.resetRequests();
    expect(await fillFile(engine, file, target, options)).toBe('sha256');
    expect(found).toBe(300_001 + 722_223);
    expect(target.written).toBe(bytes.length - found);
    expect(sent(hub, 'bridge')).toBe(bytes.length - found);
    expect(sha256(target.bytes)).toBe(sha256(bytes));

    const wrong = new MemoryTarget(bytes, [], unchecked);
    wrong.bytes[800_000] = (wrong.bytes[800_000] ?? 0) ^ 1;
    expect(await rejectionOf(fillFile(engine, file, wrong, { signal: noSignal }))).toMatchObject({ code: 'INTEGRITY' });
  });

  test('is of no use to what came over Xet without its chunks: those bytes are fetched again', async () => {
    const bytes = randomBytes(1_000_000, 122);
    const hub = await hubWith({ a: bytes });
    const { engine, hubClient } = engineFor(hub);
    const file = await hubClient.resolve(repo, 'main', 'a');
    const target = new MemoryTarget(bytes, [], [{ start: 0, end: 400_000 }]);
    expect(await fillFile(engine, file, target, { signal: noSignal })).toBe('xet');
    expect(target.written).toBe(bytes.length);
    expectWhole(target, bytes);
  });

  test('is not tried where the server asks for patience, or the data is corrupt', async () => {
    const bytes = randomBytes(600_000, 123);
    const hub = await hubWith({ a: bytes });
    const { engine, hubClient, budget, lanes } = engineFor(hub, { fallback: true });
    const file = await hubClient.resolve(repo, 'main', 'a');
    for (const [rule, code] of [
      [{ kind: 'xorb', action: 'status', status: 429, times: 1e9 }, 'RATE_LIMITED'],
      [{ kind: 'xorb', action: 'corrupt', offset: 0, times: 1e9 }, 'INTEGRITY'],
    ] satisfies [FaultRule, string][]) {
      hub.faults.clear();
      hub.faults.add(rule);
      const target = new MemoryTarget(bytes);
      expect(await rejectionOf(fillFile(engine, file, target, { signal: noSignal }))).toMatchObject({ code });
      expect(requests(hub, 'bridge')).toEqual([]);
      await vi.waitFor(() => expect([budget.usedBytes, lanes.used]).toEqual([0, 0]));
    }
  });

  test('can be stopped', async () => {
    const bytes = randomBytes(2_000_000, 124);
    const hub = await hubWith({ a: bytes });
    const { engine, hubClient } = engineFor(hub, { xet: false });
    const file = await hubClient.resolve(repo, 'main', 'a');
    const stop = new AbortController();
    const target = new MemoryTarget(bytes);
    target.onWrite = () => {
      if (target.written > 500_000) stop.abort('enough');
    };
    expect(await rejectionOf(fillFile(engine, file, target, { signal: stop.signal }))).toBe('enough');
    expect(target.written).toBeLessThan(bytes.length);
    expect(target.mistakes).toEqual([]);
  });
});
