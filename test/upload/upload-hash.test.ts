import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import { workerSha256 } from '../../src/upload/upload-hash.ts';
import { codecWorkers } from '../support/fake-workers.ts';
import { sha256 } from '../support/hub.ts';
import { holdsAsync, rejectionOf, splitAt } from '../support/property.ts';
import { randomBytes } from '../support/samples.ts';

const signal = new AbortController().signal;

function poolWith(workers: number): CodecPool {
  const pool = new CodecPool({ size: workers, load: loadCodec, spawn: codecWorkers(loadCodec).spawn });
  onTestFinished(() => pool.close());
  return pool;
}

test('workerSha256 does not depend on how the bytes are split', async () => {
  const pool = poolWith(0);
  const cuts = fc.array(fc.nat(), { maxLength: 6 });
  await holdsAsync(300, fc.tuple(fc.nat(700), cuts, fc.nat(1e6)), async ([length, positions, seed]) => {
    const bytes = randomBytes(length, seed);
    const hash = workerSha256(pool, signal);
    for (const piece of splitAt(bytes, positions)) await hash.update(piece);
    expect(await hash.digest()).toBe(sha256(bytes));
  });
});

test('workerSha256 pads lengths around a block boundary correctly', async () => {
  const pool = poolWith(0);
  for (let length = 0; length <= 200; length++) {
    const bytes = randomBytes(length, length);
    const hash = workerSha256(pool, signal);
    await hash.update(bytes);
    expect(await hash.digest(), `${length} bytes`).toBe(sha256(bytes));
  }
});

test("workerSha256 hashes megabytes on stateless workers, and leaves the caller's bytes intact", async () => {
  const pool = poolWith(2);
  const bytes = randomBytes(9_000_001, 7);
  const hash = workerSha256(pool, signal);
  const buffer = new Uint8Array(1_000_003);
  for (let at = 0; at < bytes.length; at += buffer.length) {
    const piece = bytes.subarray(at, at + buffer.length);
    buffer.set(piece);
    await hash.update(buffer.subarray(0, piece.length));
    buffer.fill(0);
  }
  expect(await hash.digest()).toBe(sha256(bytes));
  expect(pool.counts.sent).toBeGreaterThan(8);
});

test('an abort ends workerSha256', async () => {
  const stop = new AbortController();
  const hash = workerSha256(poolWith(1), stop.signal);
  stop.abort(new Error('enough'));
  expect(await rejectionOf(hash.update(randomBytes(500_000, 1)) as Promise<void>)).toMatchObject({ message: 'enough' });
});
