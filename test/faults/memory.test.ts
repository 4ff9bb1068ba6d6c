import { createCipheriv, createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { scratch, seen } from '../support/hub.ts';
import { startNode } from './children.ts';
import { privateHub } from './harness.ts';
import { watchHygiene } from './hygiene.ts';

watchHygiene();

const MIB = 1024 * 1024;
const SIZE = 1024 * MIB;
const BUDGET = 64_000_000;
/**
 * What the process may take beside the budget: buffers of sockets and of the runtime, and garbage. The runtime
 * lets some 64 MB of buffers that nobody holds pile up in each thread before it collects them.
 */
const OVERHEAD = 48 * MIB;
const READER = fileURLToPath(new URL('slow-reader.mjs', import.meta.url));

/** A file of bytes without any pattern, the same each time: nothing of it can be shared or compressed. */
async function writeNoise(path: string, size: number): Promise<string> {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16));
  const zeros = Buffer.alloc(8 * MIB);
  const digest = createHash('sha256');
  const file = await open(path, 'w');
  try {
    for (let at = 0; at < size; at += zeros.length) {
      const noise = stream.update(zeros.subarray(0, size - at));
      digest.update(noise);
      await file.write(noise);
    }
  } finally {
    await file.close();
  }
  return digest.digest('hex');
}

test('1 GiB goes through a budget of 64 MB to a slow reader', async () => {
  const folder = await scratch();
  const large = join(folder, 'large.bin');
  const small = join(folder, 'small.bin');
  const sha256 = await writeNoise(large, SIZE);
  await writeNoise(small, 96 * MIB);
  const hub = await privateHub('owner/model', { 'large.bin': { file: large }, 'small.bin': { file: small } });
  onTestFinished(() => hub.close());

  const settings = {
    repo: 'owner/model',
    path: 'large.bin',
    warmUp: 'small.bin',
    memoryBudget: BUDGET,
    holdMs: 1500,
    pauseMs: 10,
    everyBytes: 2 * MIB,
  };
  const child = await startNode(['--expose-gc', READER, JSON.stringify(settings)], { HF_ENDPOINT: hub.url });
  const { code, stdout, stderr } = await child.ended;
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout) as {
    baseline: number;
    peak: number;
    size: number;
    sha256: string;
    budgetPeak: number;
  };
  const { baseline, peak, budgetPeak } = report;
  expect(report).toMatchObject({ size: SIZE, sha256 });
  expect(peak, `peak ${peak}, after warming up ${baseline}`).toBeLessThanOrEqual(baseline + BUDGET + OVERHEAD);
  // The client's own account of it: less than it needs for any progress would be no account at all.
  expect(budgetPeak).toBeGreaterThan(MIB);
  expect(budgetPeak).toBeLessThanOrEqual(BUDGET);
  const fetched = seen(hub, 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  expect(fetched / (SIZE + 96 * MIB), 'nothing was dropped for want of room and fetched again').toBeLessThan(1.05);
});
