import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { MemoryBudget } from '../../src/core/budget.ts';
import type { FileSpan } from '../../src/core/content.ts';
import { type ByteRange, lengthOf } from '../../src/core/ranges.ts';
import { Sections } from '../../src/download/sections.ts';
import type { SignedReconstruction } from '../../src/download/signed-urls.ts';
import { SignedUrls } from '../../src/download/signed-urls.ts';
import { FIRST_BYTES, ReadAhead, STEP_BYTES } from '../../src/read/read-ahead.ts';
import { ReadCache } from '../../src/read/read-cache.ts';
import { SharedFetch } from '../../src/read/shared-fetch.ts';
import { xorbHash } from '../support/cas-wire.ts';
import { holds, holdsAsync, rejectionOf } from '../support/property.ts';

const MIB = 1024 * 1024;
const NONE = new Uint8Array();

/** Bytes that can be told by where they are. */
const pattern = Uint8Array.from({ length: 251 * 40_000 }, (_, index) => index % 251);
const truth = (at: number, length: number) => pattern.slice(at % 251, (at % 251) + length);

describe('what to fetch around a read', () => {
  const size = 1_000_000_000;

  test('holds what is missing, lies in the file, and is no longer than it may be', () => {
    const reads = fc.array(fc.tuple(fc.nat(20_000_000), fc.nat(3_000_000), fc.boolean()), { maxLength: 20 });
    holds(300, fc.tuple(fc.integer({ min: 1, max: 20_000_000 }), reads), ([fileBytes, all]) => {
      const ahead = new ReadAhead(fileBytes, MIB);
      let before = 0;
      for (const [at, length, goesOn] of all) {
        const start = goesOn ? before : at % fileBytes;
        const end = Math.min(fileBytes, start + length);
        if (start >= end) continue;
        before = end;
        const window = ahead.window({ start, end }, { start, end });
        expect(window.start).toBeGreaterThanOrEqual(0);
        expect(window.start).toBeLessThanOrEqual(start);
        expect(window.end).toBeGreaterThanOrEqual(end);
        expect(window.end).toBeLessThanOrEqual(fileBytes);
        expect(window.end - window.start).toBeLessThanOrEqual(Math.max(end - start + 2 * STEP_BYTES, MIB));
      }
    });
  });

  /** Windows of a reader that goes straight on from some place. */
  function straightOn(ahead: ReadAhead, from: number, bytes: number, steps: number): number[] {
    const lengths: number[] = [];
    let fetched = from;
    for (let at = from; lengths.length < steps; at += bytes) {
      const read = { start: at, end: at + bytes };
      if (read.end <= fetched) ahead.follow(read);
      else {
        const window = ahead.window(read, { start: Math.max(at, fetched), end: read.end });
        lengths.push(window.end - Math.max(at, fetched));
        fetched = window.end;
      }
    }
    return lengths;
  }

  test('doubles while a reader goes straight on, up to a limit', () => {
    const first = FIRST_BYTES;
    expect(straightOn(new ReadAhead(size, 4 * MIB), 0, 4096, 7)).toEqual(
      [1, 2, 4, 8, 16, 16, 16].map((n) => n * first),
    );
    expect(straightOn(new ReadAhead(size, MIB), 0, 4096, 5)).toEqual([1, 2, 4, 4, 4].map((n) => n * first));
    const elsewhere = straightOn(new ReadAhead(size, MIB), 50 * MIB, 4096, 4);
    expect(elsewhere).toEqual([STEP_BYTES, first, 2 * first, 4 * first]);
  });

  test('knows several readers apart, and a padding from a jump', () => {
    const ahead = new ReadAhead(size, 4 * MIB);
    const places = [100, 300, 500].map((where) => where * MIB);
    for (const expected of [STEP_BYTES, FIRST_BYTES, 2 * FIRST_BYTES]) {
      for (const [reader, at] of places.entries()) {
        const read = { start: at, end: at + 1000 };
        const window = ahead.window(read, read);
        expect(lengthOf([window])).toBe(expected);
        // Skips a little, and reads on to where there is nothing more.
        ahead.follow({ start: read.end + 5000, end: window.end });
        places[reader] = window.end;
      }
    }
    const jump = { start: 700 * MIB, end: 700 * MIB + 10 };
    expect(lengthOf([ahead.window(jump, jump)])).toBe(STEP_BYTES);
  });

  test('what was pushed out before its turn was too much', () => {
    const ahead = new ReadAhead(size, 4 * MIB);
    straightOn(ahead, 0, 65_536, 4);
    const read = { start: 2 * MIB - 1_800_000, end: 2 * MIB - 1_700_000 };
    ahead.window(read, read);
    const again = { start: read.end, end: read.end + 100 };
    expect(lengthOf([ahead.window(again, again)])).toBeLessThan(2 * MIB);
  });
});

describe('what is remembered of reads', () => {
  const put = fc.record({ file: fc.nat(2), at: fc.nat(2_000_000), length: fc.integer({ min: 1, max: 600_000 }) });

  test('is right, within its limit, and counted in the budget', () => {
    holds(40, fc.array(put, { maxLength: 25 }), (puts) => {
      const budget = new MemoryBudget(16 * MIB, 4 * MIB);
      const memory = new ReadCache(budget);
      for (const { file, at, length } of puts) {
        memory.put(`${file}`, at, truth(at, length), memory.begin());
        expect(memory.bytes).toBeLessThanOrEqual(memory.limitBytes);
        expect(budget.usedBytes).toBe(memory.bytes);
        const range = { start: Math.max(0, at - 1000), end: at + length + 1000 };
        const into = new Uint8Array(range.end - range.start);
        const holes = memory.copy(`${file}`, range, into);
        const expected = truth(range.start, into.length);
        for (const { start, end } of holes) expected.fill(0, start - range.start, end - range.start);
        expect(Buffer.compare(into, expected)).toBe(0);
        // What came last is there, as far as it is not larger than all that is kept.
        const lost = holes.filter(({ start, end }) => start < at + length && at < end);
        expect(lost).toEqual([]);
      }
      memory.clear();
      expect([memory.bytes, budget.usedBytes]).toEqual([0, 0]);
    });
  });

  test('one fetch pushes out what is older than it, and nothing of its own', () => {
    const memory = new ReadCache(new MemoryBudget(16 * MIB, 4 * MIB));
    memory.put('a', 0, truth(0, MIB), memory.begin());
    const fetched = memory.begin();
    for (let at = 0; at < 4 * MIB; at += 100_000) memory.put('b', at, truth(at, 100_000), fetched);
    expect(memory.held('a', { start: 0, end: MIB })).toEqual([]);
    const held = memory.held('b', { start: 0, end: 4 * MIB });
    expect(held[0]?.start).toBe(0);
    expect(lengthOf(held)).toBeGreaterThan(1.9 * MIB);
    expect(held.at(-1)?.end).toBe(lengthOf(held));
  });

  test('takes a little whatever else is in the budget, and the rest only where there is room', () => {
    const budget = new MemoryBudget(64 * MIB, 16 * MIB);
    expect(budget.tryAcquire(48 * MIB)).toBe(true);
    const memory = new ReadCache(budget);
    memory.put('a', 0, truth(0, 4 * MIB), memory.begin());
    expect(memory.bytes).toBeGreaterThan(0.8 * MIB);
    expect(memory.bytes).toBeLessThanOrEqual(MIB);
    budget.release(48 * MIB);
    memory.put('a', 0, truth(0, 2 * MIB), memory.begin());
    expect(lengthOf(memory.held('a', { start: 0, end: 2 * MIB }))).toBe(2 * MIB);
  });

  test('is verified only where all of it is', () => {
    const memory = new ReadCache(new MemoryBudget(64 * MIB, 16 * MIB));
    const range = { start: 0, end: 1000 };
    const fetched = memory.begin();
    memory.put('a', 0, truth(0, 600), fetched);
    fetched.verified = true;
    expect(memory.isVerified('a', range)).toBe(false);
    memory.put('a', 600, truth(600, 400), memory.begin());
    expect(memory.isVerified('a', range)).toBe(false);
    expect(memory.isVerified('a', { start: 10, end: 20 })).toBe(true);
    expect(memory.isVerified('b', { start: 10, end: 20 })).toBe(false);
  });
});

describe('one fetch for several readers', () => {
  /** A fetch of some bytes whose pieces come when they are told to. */
  function flightOf(range: ByteRange, options: { untilEnd?: boolean; keeps?: boolean; anyOrder?: boolean } = {}) {
    let signal: AbortSignal | undefined;
    let come: (content: FileSpan | undefined) => void = () => undefined;
    let heldOf: (part: ByteRange) => Uint8Array = () => new Uint8Array();
    const ends: unknown[] = [];
    const flight = new SharedFetch({
      range,
      refetch: false,
      untilEnd: options.untilEnd ?? false,
      anyOrder: options.anyOrder ?? false,
      keep: options.keeps === false ? undefined : () => undefined,
      onEnd: (error) => void ends.push(error),
      async bring(stop, take, held) {
        signal = stop;
        heldOf = held;
        for (;;) {
          const next = await new Promise<FileSpan | undefined>((resolve, reject) => {
            come = resolve;
            stop.addEventListener('abort', () => reject(stop.reason));
          });
          if (!next) return;
          take(next);
        }
      },
    });
    const bring = async (at: number, length: number) => {
      await vi.waitFor(() => expect(signal).toBeDefined());
      come({ at, bytes: truth(at, length), chunks: NONE });
      await new Promise((resolve) => setImmediate(resolve));
    };
    return {
      flight,
      bring,
      held: (part: ByteRange) => heldOf(part),
      finish: () => come(undefined),
      ends,
      stopped: () => signal?.aborted,
    };
  }

  test('each has its part when it has come, whatever lies around it', async () => {
    const { flight, bring, finish, ends } = flightOf({ start: 1000, end: 2000 });
    const one = new Uint8Array(300);
    const two = new Uint8Array(1000);
    const first = flight.join({ start: 1100, end: 1400 }, one, 1100);
    const second = flight.join({ start: 1500, end: 2000 }, two, 1000);
    await bring(900, 350);
    expect(flight.ahead).toEqual({ start: 1250, end: 2000 });
    await bring(1250, 400);
    await first.done;
    expect(one).toEqual(truth(1100, 300));
    await bring(1650, 500);
    await second.done;
    expect(two.subarray(500)).toEqual(truth(1500, 500));
    finish();
    await vi.waitFor(() => expect(ends).toEqual([undefined]));
    expect(flight.isOpen).toBe(false);
  });

  test('in any order: each has its part when all of it has come, and nobody joins late', async () => {
    const { flight, bring, finish, ends } = flightOf({ start: 0, end: 1000 }, { anyOrder: true, keeps: false });
    const [one, two] = [new Uint8Array(400), new Uint8Array(1000)];
    let early = false;
    const first = flight.join({ start: 100, end: 500 }, one, 100);
    void first.done.then(() => {
      early = true;
    });
    const second = flight.join({ start: 0, end: 1000 }, two, 0);
    await bring(400, 600);
    expect(flight.ahead).toEqual({ start: 1000, end: 1000 });
    expect(early).toBe(false);
    await bring(0, 400);
    await Promise.all([first.done, second.done]);
    expect([one, two]).toEqual([truth(100, 400), truth(0, 1000)]);
    finish();
    await vi.waitFor(() => expect(ends).toEqual([undefined]));
  });

  test('what has come of a whole file is there to be checked', async () => {
    const { flight, bring, held, finish } = flightOf({ start: 0, end: 100 }, { anyOrder: true, keeps: false });
    const left = flight.join({ start: 0, end: 100 }, new Uint8Array(100), 0);
    const whole = flight.join({ start: 0, end: 100 }, new Uint8Array(100), 0);
    await bring(50, 50);
    left.leave('enough');
    await expect(left.done).rejects.toBe('enough');
    expect(held({ start: 60, end: 80 })).toEqual(truth(60, 20));
    await bring(0, 50);
    await whole.done;
    finish();
  });

  test('what ends before all of it came is an error', async () => {
    const { flight, bring, finish, ends } = flightOf({ start: 0, end: 100 }, { anyOrder: true, keeps: false });
    const whole = flight.join({ start: 0, end: 100 }, new Uint8Array(100), 0);
    await bring(0, 40);
    await bring(60, 40);
    finish();
    await expect(whole.done).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(ends).toEqual([expect.objectContaining({ code: 'PROTOCOL' })]);
  });

  test('who wants to know the end waits for it', async () => {
    const { flight, bring, finish } = flightOf({ start: 0, end: 100 });
    let done = false;
    const { done: whole } = flight.join({ start: 0, end: 100 }, new Uint8Array(100), 0, true);
    void whole.then(() => {
      done = true;
    });
    await bring(0, 100);
    expect(done).toBe(false);
    finish();
    await whole;
  });

  test('it ends with the last one who leaves, and not before', async () => {
    const { flight, bring, stopped, ends } = flightOf({ start: 0, end: 100 });
    const passengers = [1, 2].map(() => flight.join({ start: 0, end: 100 }, new Uint8Array(100), 0));
    await bring(0, 10);
    passengers[0]?.leave('one');
    expect(await rejectionOf(passengers[0]?.done ?? Promise.resolve())).toBe('one');
    expect(stopped()).toBe(false);
    passengers[1]?.leave('two');
    passengers[1]?.leave('again');
    expect(await rejectionOf(passengers[1]?.done ?? Promise.resolve())).toBe('two');
    expect(stopped()).toBe(true);
    expect(flight.isOpen).toBe(false);
    await vi.waitFor(() => expect(ends).toEqual(['two']));
  });

  test('a fetch that ends early is no success', async () => {
    const { flight, bring, finish } = flightOf({ start: 0, end: 100 });
    const { done } = flight.join({ start: 0, end: 100 }, new Uint8Array(100), 0);
    await bring(0, 99);
    finish();
    expect(await rejectionOf(done)).toMatchObject({ code: 'PROTOCOL' });
  });

  test('what nobody keeps ends when nobody waits; what is kept has a while', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const large = flightOf({ start: 0, end: 100 }, { keeps: false });
      const small = flightOf({ start: 0, end: 100 });
      await Promise.resolve();
      const waiting = [large, small].map(({ flight }) => flight.join({ start: 0, end: 10 }, new Uint8Array(10), 0));
      await large.bring(0, 20);
      await small.bring(0, 20);
      await Promise.all(waiting.map(({ done }) => done));
      expect([large.stopped(), small.stopped()]).toEqual([true, false]);
      vi.advanceTimersByTime(1000);
      const back = small.flight.join({ start: 20, end: 30 }, new Uint8Array(10), 20);
      vi.advanceTimersByTime(60_000);
      expect(small.stopped()).toBe(false);
      await small.bring(20, 10);
      await back.done;
      vi.advanceTimersByTime(1000);
      await small.bring(30, 10);
      vi.advanceTimersByTime(1500);
      expect(small.stopped()).toBe(false);
      vi.advanceTimersByTime(1000);
      expect(small.stopped()).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  test('no timer of it keeps a process alive', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const { flight, bring } = flightOf({ start: 0, end: 100 });
    const { done } = flight.join({ start: 0, end: 10 }, new Uint8Array(10), 0);
    await bring(0, 20);
    await done;
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length).toBeLessThanOrEqual(before);
  });
});

describe('reconstructions of parts', () => {
  const section = (span: ByteRange, terms = 1): SignedReconstruction => {
    const term = { xorb: xorbHash(1), chunks: { start: 0, end: 1 }, unpackedLength: 10 };
    const from = { offsetIntoFirstTerm: 0, terms: Array.from({ length: terms }, () => term), xorbs: new Map() };
    return { from, span, exact: false, urls: new SignedUrls(from, async () => from) };
  };
  const signal = new AbortController().signal;

  test('are found by the ranges that they cover, the shortest first', async () => {
    const sections = new Sections();
    const spans = [
      { start: 0, end: 100 },
      { start: 50, end: 60 },
      { start: 10, end: 90 },
    ];
    for (const span of spans) await sections.ask(span, async () => section(span), signal);
    expect(sections.covering({ start: 55, end: 58 }).map(({ span }) => span)).toEqual([spans[1], spans[2], spans[0]]);
    expect(sections.covering({ start: 55, end: 61 }).map(({ span }) => span)).toEqual([spans[2], spans[0]]);
    expect(sections.covering({ start: 99, end: 101 })).toEqual([]);
    sections.clear();
    expect(sections.covering({ start: 55, end: 58 })).toEqual([]);
  });

  test('are bounded, and those used last stay', async () => {
    const sections = new Sections();
    const span = (index: number) => ({ start: index * 10, end: index * 10 + 10 });
    for (let index = 0; index < 100; index++) {
      await sections.ask(span(index), async () => section(span(index)), signal);
      const [first] = sections.covering(span(0));
      if (first) sections.touch(first);
    }
    const left = Array.from({ length: 100 }, (_, index) => index).filter(
      (index) => sections.covering(span(index)).length > 0,
    );
    expect(left.length).toBe(32);
    expect(left).toContain(0);
    await sections.ask(span(200), async () => section(span(200), 100_000), signal);
    expect(sections.covering(span(99))).toEqual([]);
    expect(sections.covering(span(200))).toHaveLength(1);
  });

  test('are asked for once by all who want the same; an abort takes away one', async () => {
    await holdsAsync(50, fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }), async (leave) => {
      const sections = new Sections();
      const span = { start: 0, end: 10 };
      let asked = 0;
      let answer: () => void = () => undefined;
      const waiting = leave.map((leaves) => {
        const stop = new AbortController();
        const got = sections.ask(
          span,
          async (joint) => {
            asked++;
            await new Promise<void>((resolve, reject) => {
              answer = resolve;
              joint.addEventListener('abort', () => reject(joint.reason));
            });
            return section(span);
          },
          stop.signal,
        );
        return {
          leaves,
          stop,
          got: got.then(
            () => 'answered',
            (error: unknown) => error,
          ),
        };
      });
      for (const { leaves, stop } of waiting) if (leaves) stop.abort('left');
      answer();
      const outcomes = await Promise.all(waiting.map(({ got }) => got));
      expect(outcomes).toEqual(leave.map((leaves) => (leaves ? 'left' : 'answered')));
      expect(asked).toBe(1);
      expect(sections.covering(span).length).toBe(leave.every(Boolean) ? 0 : 1);
    });
  });

  test('a failure is told and not remembered, and what was cleared meanwhile stays away', async () => {
    const sections = new Sections();
    const span = { start: 0, end: 10 };
    const failing = sections.ask(span, async () => Promise.reject(new Error('no')), signal);
    expect(await rejectionOf(failing)).toMatchObject({ message: 'no' });
    const late = sections.ask(
      span,
      async () => {
        sections.clear();
        return section(span);
      },
      signal,
    );
    await late;
    expect(sections.covering(span)).toEqual([]);
    await sections.ask(span, async () => section(span), signal);
    expect(sections.covering(span)).toHaveLength(1);
  });
});
