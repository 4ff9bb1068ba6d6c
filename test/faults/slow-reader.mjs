// Reads a large file as a stream, slower than it comes, and reports what that took of memory.
// Usage: node --expose-gc slow-reader.mjs '{"repo", "path", "warmUp", "memoryBudget", "holdMs", "pauseMs", "everyBytes"}'
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { XetClient } from '../../dist/node.js';

const { repo, path, warmUp, memoryBudget, holdMs, pauseMs, everyBytes } = JSON.parse(process.argv[2] ?? '{}');
const client = new XetClient({ memoryBudget, fallback: 'never' });

// Workers, WebAssembly and the heap are as large afterwards as they will be without data in flight.
const small = await client.open({ repo, path: warmUp });
for await (const piece of small.stream()) if (piece.length < 0) break;
globalThis.gc?.();
const baseline = process.memoryUsage().rss;

let peak = 0;
const sample = () => {
  peak = Math.max(peak, process.memoryUsage().rss);
};
const sampler = setInterval(sample, 10);
const digest = createHash('sha256');
const file = await client.open({ repo, path });
let size = 0;
let unpaused = 0;
for await (const piece of file.stream()) {
  // Everything that may be fetched ahead has time to be.
  if (size === 0) await sleep(holdMs);
  digest.update(piece);
  size += piece.length;
  unpaused += piece.length;
  if (unpaused >= everyBytes) {
    unpaused = 0;
    await sleep(pauseMs);
  }
}
sample();
clearInterval(sampler);
const metrics = typeof client.metrics === 'function' ? client.metrics() : undefined;
await client.close();
process.stdout.write(
  `${JSON.stringify({ baseline, peak, size, sha256: digest.digest('hex'), budgetPeak: metrics?.memory?.peakBytes ?? null })}\n`,
);
