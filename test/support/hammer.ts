import { openFolderChunkStore } from '../../src/cache/chunks/chunk-store.node.ts';
import { randomNumbers, SampleXorbs, sampleHash } from './chunk-samples.ts';

// A process that puts and reads at random until it is killed. It says when it begins, and when anything is wrong.
// Usage: node hammer.mjs FOLDER MAX_BYTES SEED
const [folder = '', maxBytes = '0', seed = '0'] = process.argv.slice(2);
const random = randomNumbers(Number(seed));
const below = (limit: number) => Math.floor(random() * limit);
const xorbs = new SampleXorbs(4 * 1024, 60 * 1024);
// Making up chunks takes longer than keeping them, and what is to be hammered on is the disk.
const made = Array.from({ length: 6 }, (_, xorb) => xorbs.run(xorb, { start: 0, end: 40 }));
const { partOfRun } = await import('../../src/cache/chunks/chunk-runs.ts');
const store = openFolderChunkStore(folder, { maxBytes: Number(maxBytes), hash: sampleHash });

process.stdout.write('begun\n');
for (;;) {
  const xorb = below(made.length);
  const start = below(35);
  const range = { start, end: start + 1 + below(6) };
  const name = xorbs.name(xorb);
  if (random() < 0.6) {
    await store.put(name, partOfRun(made[xorb]!, range));
  } else {
    const run = await store.read(name, range);
    const wrong = run && xorbs.wrongIn(xorb, run);
    if (wrong) process.stdout.write(`${wrong}\n`);
  }
}
