import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ShardFile } from '../../src/codec/shard.ts';
import { MemoryBudget } from '../../src/core/budget.ts';
import { MemoryLease } from '../../src/upload/memory-lease.ts';
import { prefetch } from '../../src/upload/prefetch.ts';
import { shardGroups } from '../../src/upload/shard-upload.ts';
import { FramePieces } from '../../src/upload/xorb-builder.ts';
import { RunBuffers } from '../../src/xorb/buffers.ts';
import { holds } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';

const never = new AbortController().signal;

describe('shardGroups', () => {
  const file = (number: number, terms: number): ShardFile => ({
    hash: String(number).padStart(64, '0'),
    terms: Array.from({ length: terms }, () => ({ xorb: '1', unpackedLength: 1, chunks: { start: 0, end: 1 } })),
    verification: [],
    sha256: undefined,
  });
  const counts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30 });

  test('shards contain every xorb and file once, xorbs first, within the size limit unless a single item exceeds it', () => {
    holds(300, fc.tuple(counts, counts, fc.integer({ min: 500, max: 20_000 })), ([chunks, terms, maxBytes]) => {
      const xorbs = chunks.map((count, number) => ({ hash: `x${number}`, count }));
      const files = terms.map((count, number) => file(number, count));
      const groups = shardGroups(xorbs, [...files, ...files], maxBytes);
      expect(groups.flatMap((group) => group.xorbs)).toEqual(xorbs);
      expect(groups.flatMap((group) => group.files)).toEqual(files);
      for (const group of groups) {
        const sizes = [
          ...group.xorbs.map(({ count }) => 48 * (1 + count)),
          ...group.files.map((one) => 48 * (2 + 2 * one.terms.length)),
        ];
        const bytes = 144 + sizes.reduce((sum, size) => sum + size, 0);
        expect(sizes.length > 0 && (bytes <= maxBytes || sizes.length === 1)).toBe(true);
      }
      const firstFile = groups.findIndex((group) => group.files.length > 0);
      if (firstFile >= 0) expect(groups.slice(firstFile + 1).every((group) => group.xorbs.length === 0)).toBe(true);
    });
  });

  test('a typical upload needs one shard, an empty one none', () => {
    expect(shardGroups([{ hash: 'x', count: 8192 }], [file(1, 100)])).toHaveLength(1);
    expect(shardGroups([], [])).toEqual([]);
  });
});

describe('FramePieces', () => {
  const BLOCK = 4000;
  const framesOf = (lengths: number[]) => lengths.map((length, index) => randomBytes(length, index));

  test('frames keep their order, and take exactly the reported memory', () => {
    holds(200, fc.array(fc.integer({ min: 1, max: 2 * BLOCK }), { maxLength: 40 }), (lengths) => {
      const pieces = new FramePieces(new RunBuffers(BLOCK), BLOCK);
      const frames = framesOf(lengths);
      const memory = frames.reduce((sum, one) => sum + pieces.push(one.slice()), 0);
      const taken = pieces.take();
      expect(Buffer.compare(Buffer.concat(taken), Buffer.concat(frames))).toBe(0);
      expect(taken.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)).toBe(memory);
      expect(pieces.take()).toEqual([]);
    });
  });

  test('large runs of frames keep their buffers, small ones are copied together', () => {
    const blocks = new RunBuffers(BLOCK);
    const pieces = new FramePieces(blocks, BLOCK);
    const frames = framesOf([...Array<number>(30).fill(100), 3000, 1001, ...Array<number>(30).fill(100)]);
    for (const one of frames) pieces.push(one);
    const taken = pieces.take();
    expect(taken.map(({ length }) => length)).toEqual([3000, 3000, 1001, 3000]);
    expect(taken.map(({ buffer }) => frames.some((one) => one.buffer === buffer))).toEqual([false, true, true, false]);
  });

  test('buffers of copied frames can be reused', () => {
    const blocks = new RunBuffers(BLOCK);
    const memory = blocks.take(BLOCK);
    new FramePieces(blocks, BLOCK).push(memory.subarray(0, 10));
    // The first is where they were put.
    expect(blocks.take(BLOCK).buffer).toBe(memory.buffer);
  });
});

describe('prefetch', () => {
  async function* numbers(made: number[], ended: () => void) {
    try {
      for (let number = 0; number < 10; number++) {
        made.push(number);
        yield number;
      }
    } finally {
      ended();
    }
  }

  test('all values arrive in order, and at most maxAhead are requested in advance', async () => {
    const made: number[] = [];
    const seen: number[] = [];
    let ended = 0;
    for await (const number of prefetch(
      numbers(made, () => void ended++),
      3,
      never,
    )) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      seen.push(number);
      expect(made.length).toBeLessThanOrEqual(seen.length + 3);
      if (number < 6) expect(made.length).toBeGreaterThan(seen.length);
    }
    expect(seen).toEqual(made);
    expect(seen).toHaveLength(10);
    expect(ended).toBe(1);
  });

  test('the generator ends when the consumer stops', async () => {
    let ended = 0;
    for await (const number of prefetch(
      numbers([], () => void ended++),
      3,
      never,
    ))
      if (number === 2) break;
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(ended).toBe(1);
  });

  test('an error is thrown in order, an abort at once', async () => {
    async function* failing() {
      yield 1;
      throw new Error('broken');
    }
    const seen: number[] = [];
    const all = async (values: AsyncGenerator<number>) => {
      for await (const value of values) seen.push(value);
    };
    await expect(all(prefetch(failing(), 5, never))).rejects.toThrow('broken');
    expect(seen).toEqual([1]);
    async function* stuck() {
      await new Promise(() => undefined);
      yield 1;
    }
    const controller = new AbortController();
    const ending = all(prefetch(stuck(), 2, controller.signal));
    controller.abort(new Error('enough'));
    await expect(ending).rejects.toThrow('enough');
    await expect(all(prefetch(failing(), 2, controller.signal))).rejects.toThrow('enough');
  });
});

test('ending a MemoryLease releases all of its memory, also memory acquired later', async () => {
  const budget = new MemoryBudget(100, 20);
  const lease = new MemoryLease(budget);
  await lease.acquire(50, () => false, never);
  lease.add(60);
  const controller = new AbortController();
  const waiting = lease.acquire(10, () => false, controller.signal);
  expect(budget.usedBytes).toBe(110);
  lease.release(20);
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  lease.end();
  lease.end();
  lease.release(30);
  lease.add(30);
  expect(budget.usedBytes).toBe(0);
});
