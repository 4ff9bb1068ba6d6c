import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import { MemoryBudget } from '../../src/core/budget.ts';
import { type CutBlock, cutFile } from '../../src/upload/cut-file.ts';
import { MemoryLease } from '../../src/upload/memory-lease.ts';
import type { UploadHash } from '../../src/upload/upload-hash.ts';
import { RunBuffers } from '../../src/xorb/buffers.ts';
import { chunksOf } from '../support/engines.ts';
import { manualWorkers } from '../support/fake-workers.ts';
import { holdsAsync, rejectionOf } from '../support/property.ts';
import { randomBytes, text } from '../support/samples.ts';

const KIB = 1024;
const never = new AbortController().signal;

/** Context of cutFile; with a large budget by default. */
function cutter({ blockBytes = 512 * KIB, limitBytes = 1e9, pool = poolHere(), signal = never } = {}) {
  const budget = new MemoryBudget(limitBytes, 0);
  const lease = new MemoryLease(budget);
  const digest = createHash('sha256');
  const hash: UploadHash = {
    // Later than it is called, as in pages: the bytes must still be there.
    update: async (bytes) => {
      await new Promise((resolve) => setImmediate(resolve));
      digest.update(bytes);
    },
    digest: async () => digest.digest('hex'),
  };
  const blocks = new RunBuffers(blockBytes, 4);
  return { budget, lease, hash, context: { pool, lease, blockBytes, blocks, signal } };
}

function poolHere(): CodecPool {
  const pool = new CodecPool({ size: 0, load: loadCodec });
  onTestFinished(() => pool.close());
  return pool;
}

/** A file in pieces of the given lengths, again and again, each in the memory of the one before. */
function* piecesOf(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  const memory = new Uint8Array(Math.max(...lengths));
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const piece = bytes.subarray(at, at + (lengths[turn % lengths.length] ?? 1));
    memory.set(piece);
    yield memory.subarray(0, piece.length);
    at += piece.length;
  }
}

test("cutFile yields all chunks of a file and its sha256, regardless of the input's pieces", async () => {
  const noise = randomBytes(2_500_000, 1);
  const words = text(2_500_000, 2);
  const cases = fc.record({
    words: fc.boolean(),
    length: fc.oneof(fc.nat(300_000), fc.integer({ min: 300_000, max: 2_500_000 })),
    blockBytes: fc.integer({ min: 260 * KIB, max: 1024 * KIB }),
    pieces: fc.array(fc.integer({ min: 1000, max: 1_500_000 }), { minLength: 1, maxLength: 4 }),
  });
  await holdsAsync(60, cases, async (one) => {
    const bytes = (one.words ? words : noise).subarray(0, one.length);
    const { hash, lease, budget, context } = cutter({ blockBytes: one.blockBytes });
    const found: CutBlock[] = [];
    for await (const block of cutFile(piecesOf(bytes, one.pieces), hash, context)) {
      // The receiver of a block may change it.
      found.push({ ...block, bytes: block.bytes.slice() });
      block.bytes.fill(0);
      context.blocks.give(block.bytes.buffer);
      block.memory.end();
    }
    const { records } = await chunksOf(bytes);
    expect(Buffer.compare(Buffer.concat(found.map(({ bytes }) => bytes)), bytes)).toBe(0);
    expect(Buffer.compare(Buffer.concat(found.map(({ chunks }) => chunks)), records)).toBe(0);
    expect(found.map(({ startsFile }) => startsFile)).toEqual(found.map((_, index) => index === 0));
    expect(found.map(({ endsFile }) => endsFile)).toEqual(found.map((_, index) => index === found.length - 1));
    expect(await hash.digest()).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect([budget.usedBytes, lease.inFlight]).toEqual([0, 0]);
  });
});

test('cutFile uses little memory for a small file', async () => {
  const { hash, context } = cutter({ blockBytes: 4096 * KIB });
  const { value: block } = await cutFile([randomBytes(1000, 1)], hash, context).next();
  expect(block?.memory.bytes).toBe(1000);
  expect(block?.bytes.buffer.byteLength).toBe(1000);
});

test('cutFile reads and hashes exactly one block while another is being cut', async () => {
  const { spawn, workers } = manualWorkers();
  const pool = new CodecPool({ size: 1, spawn });
  onTestFinished(() => pool.close());
  const blockBytes = 512 * KIB;
  const { hash, context } = cutter({ blockBytes, pool });
  const bytes = randomBytes(3_000_000, 1);
  let read = 0;
  function* source() {
    for (const piece of piecesOf(bytes, [32 * KIB])) {
      yield piece;
      read += piece.length;
    }
  }
  const blocks = cutFile(source(), hash, context);
  const first = blocks.next();
  const fresh = blockBytes - 128 * KIB;
  await expect.poll(() => read).toBeGreaterThanOrEqual(2 * fresh - 32 * KIB);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(read).toBeLessThanOrEqual(2 * fresh);
  expect(workers[0]?.calls).toHaveLength(1);
  pool.close();
  expect(await rejectionOf(first)).toMatchObject({ code: 'CLOSED' });
});

test('cutFile waits for memory in flight before it reads the next block', async () => {
  const { hash, context } = cutter({ blockBytes: 512 * KIB, limitBytes: 700 * KIB });
  let read = 0;
  function* source() {
    for (const piece of piecesOf(randomBytes(1_500_000, 1), [32 * KIB])) {
      yield piece;
      read += piece.length;
    }
  }
  const blocks = cutFile(source(), hash, context);
  const { value: block } = await blocks.next();
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(read).toBeLessThanOrEqual(384 * KIB);
  block?.memory.end();
  expect((await blocks.next()).value?.startsFile).toBe(false);
  await blocks.return();
});

test('cutFile rejects when its source fails or is aborted, and closes the source', async () => {
  let left = 0;
  async function* failing(fails: () => void) {
    try {
      yield randomBytes(700_000, 1);
      fails();
      yield randomBytes(700_000, 2);
    } finally {
      left++;
    }
  }
  const all = async (blocks: AsyncIterable<CutBlock>) => {
    for await (const _ of blocks);
  };
  const broken = cutter();
  const reason = new Error('the disk is gone');
  const fails = () => {
    throw reason;
  };
  expect(await rejectionOf(all(cutFile(failing(fails), broken.hash, broken.context)))).toBe(reason);
  const stop = new AbortController();
  const stopped = cutter({ signal: stop.signal });
  const stops = () => stop.abort(reason);
  expect(await rejectionOf(all(cutFile(failing(stops), stopped.hash, stopped.context)))).toBe(reason);
  expect(left).toBe(2);
  const odd = cutter();
  const texts = ['text'] as unknown as Uint8Array[];
  expect(await rejectionOf(all(cutFile(texts, odd.hash, odd.context)))).toMatchObject({ code: 'INVALID_ARGUMENT' });
});
