// @ts-check
// What is measured. Clients take turns, so that what slows the machine for a while slows all of them.
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { uniform } from '../scripts/demo/weights.mjs';
import { startReferenceCas } from '../scripts/reference-cas.mjs';
import { startHub } from './hub.mjs';
import { touchMemory } from './machine.mjs';
import { seriesName } from './repositories.mjs';
import { storeIn } from './tools.mjs';

/** @typedef {import('./clients.mjs').Client} Client */
/** @typedef {import('./clients.mjs').Measured} Measured */
/** @typedef {import('./repositories.mjs').BenchFile} BenchFile */

/** One run, with what the server saw of it. @typedef {Measured & { requests?: Record<string, number>, sent?: number }} Entry */
/** Runs by work and client. @typedef {Record<string, Record<string, Entry[]>>} Results */
/** @typedef {{ date: string, machine: ReturnType<typeof import('./machine.mjs').describeMachine>, minutes: number, versions: Record<string, string | undefined>, mode: string, sizes: Record<string, number>, results: Results }} Report */

/**
 * @typedef {object} Bench
 * @property {Client[]} clients
 * @property {import('./hub.mjs').BenchHub} hub
 * @property {Record<string, BenchFile>} files
 * @property {import('./repositories.mjs').Sizes} sizes
 * @property {string} scratch
 * @property {number} rounds
 * @property {number} until when no further round is begun, in milliseconds
 * @property {import('./tools.mjs').Tools} tools
 * @property {boolean} uploads whether this build of xetkit can
 * @property {(work: string, client: string, entry: Entry) => void} note
 * @property {(text: string) => void} tell
 */

/** @typedef {{ name: string, run: (bench: Bench) => Promise<void> }} Work */

let homes = 0;

/**
 * Gives every client its turn in every round, each time with a memory that is empty.
 * @param {Bench} bench
 * @param {(client: Client, home: string, round: number) => Promise<void>} turn
 * @param {{ rounds?: number, only?: string[], keep?: boolean }} options `keep` leaves what was written until the end:
 *   a file system that was just told to forget thousands of files is slow to make new ones
 */
async function inTurns(bench, turn, { rounds = bench.rounds, only, keep = false } = {}) {
  const clients = bench.clients.filter(({ name }) => !only || only.includes(name));
  for (let round = 0; round < rounds; round++) {
    if (round > 0 && Date.now() > bench.until) return;
    // Whoever follows whom must not be the same each time either.
    const order = clients.map((_, index) => clients[(index + round) % clients.length]);
    for (const client of order) {
      if (!client) continue;
      const home = join(bench.scratch, `home-${homes++}`);
      await mkdir(home, { recursive: true });
      try {
        await turn(client, home, round);
      } finally {
        if (!keep) await rm(home, { recursive: true, force: true, maxRetries: 3 });
      }
    }
  }
}

/**
 * One run; nothing where a client cannot do that, or failed.
 * @param {Bench} bench @param {string} work @param {Client} client @param {string} home
 * @param {Record<string, unknown>} job @param {import('./hub.mjs').BenchHub} hub
 */
async function run(bench, work, client, home, job, hub = bench.hub) {
  await touchMemory();
  try {
    return await client.run({ url: hub.url, home }, job);
  } catch (error) {
    bench.tell(`${work}: ${client.name} failed: ${String(error).slice(0, 600)}`);
    return undefined;
  }
}

/**
 * One run, noted with what the server saw of it.
 * @param {Bench} bench @param {string} work @param {Client} client @param {string} home
 * @param {Record<string, unknown>} job @param {import('./hub.mjs').BenchHub} hub
 */
async function measure(bench, work, client, home, job, hub = bench.hub) {
  await hub.counts();
  const measured = await run(bench, work, client, home, job, hub);
  if (!measured) return;
  const { requests, bytes } = await hub.counts();
  bench.note(work, client.name, { ...measured, requests, sent: bytes });
}

/** A file from nothing; with `then`, what follows on it. @param {string} name @returns {Work} */
const cold = (name) => ({
  name: `cold download, ${name}`,
  run: async (bench) => {
    const file = bench.files[name];
    if (!file) return;
    const { repo, path } = file;
    await inTurns(bench, (client, home) =>
      measure(bench, `cold download, ${name}`, client, home, { work: 'download', repo, path }),
    );
  },
});

/** @type {Work} */
const warm = {
  name: 'warm repeat and variant',
  run: async (bench) => {
    const { bf16, variant } = bench.files;
    if (!bf16 || !variant) return;
    await inTurns(bench, async (client, home) => {
      const step = (/** @type {string} */ work, /** @type {BenchFile} */ { repo, path }, more = {}) =>
        measure(bench, work, client, home, { work: 'download', repo, path, ...more });
      await step('cold download, bf16', bf16);
      await step('warm repeat, in place', bf16);
      await step('warm repeat, to another folder', bf16, { localDir: join(home, 'elsewhere') });
      await step('5 % variant', variant);
    });
  },
};

/** @type {Work} */
const reads = {
  name: 'reads',
  run: async (bench) => {
    const { f32, bf16 } = bench.files;
    if (!f32 || !bf16) return;
    const random = uniform(9);
    const ranges = Array.from({ length: 40 }, () => {
      const start = Math.floor(random() * (f32.bytes - 100_000));
      return [start, start + 65_536];
    });
    const { repo, path } = f32;
    await inTurns(bench, async (client, home) => {
      await measure(bench, 'to memory, f32', client, home, { work: 'memory', repo, path });
      await rm(home, { recursive: true, force: true });
      await mkdir(home, { recursive: true });
      await measure(bench, 'first byte', client, home, { work: 'firstByte', repo, path });
      await rm(home, { recursive: true, force: true });
      await mkdir(home, { recursive: true });
      await measure(bench, '40 reads of 64 KiB', client, home, { work: 'ranges', repo, path, ranges });
    });
  },
};

/** @type {Work} */
const codec = {
  name: 'codec',
  run: async (bench) => {
    for (const name of ['bf16', 'random']) {
      const file = bench.files[name];
      if (!file) continue;
      await inTurns(bench, async (client, home) => {
        await measure(bench, `chunk + hash, ${name}`, client, home, { work: 'chunk', file: file.file });
        const { repo, path } = file;
        const job = { work: 'decode', repo, path, workers: 0 };
        await measure(bench, `decode and verify, one thread, ${name}`, client, home, job);
      });
    }
  },
};

/** @type {Work} */
const snapshot = {
  name: 'snapshot of small files',
  run: (bench) => {
    const name = `snapshot, ${bench.sizes.smallFiles} small files`;
    const job = { work: 'snapshot', repo: 'bench/small' };
    return inTurns(
      bench,
      async (client, home) => {
        await measure(bench, name, client, home, job);
        await measure(bench, `${name}, again`, client, home, job);
      },
      { keep: true, rounds: Math.min(bench.rounds, 3) },
    );
  },
};

/** @type {Work} */
const eight = {
  name: 'eight large files',
  run: async (bench) => {
    if (bench.sizes.eight === 0) return;
    await inTurns(
      bench,
      (client, home) =>
        measure(bench, 'eight large files at once', client, home, { work: 'snapshot', repo: 'bench/eight' }),
      { rounds: Math.min(bench.rounds, 3) },
    );
  },
};

/** @type {Work} */
const command = {
  name: 'command',
  run: (bench) =>
    inTurns(
      bench,
      async (client, home) => {
        const seconds = await client.command?.({ url: bench.hub.url, home }, 'bench/one', 'one.txt');
        if (seconds === undefined) return;
        bench.note('command, 1 KB file', client.name, { seconds, wallSeconds: seconds, cpuSeconds: 0, peakBytes: 0 });
      },
      { rounds: bench.rounds * 2 },
    ),
};

/** A fresh Hub for every client and round: a server that knows the file already is what the repeat is for. @param {string} name @returns {Work} */
const upload = (name) => ({
  name: `upload, ${name}`,
  run: async (bench) => {
    const file = bench.files[name];
    const { variant } = bench.files;
    if (!file || !variant) return;
    if (!bench.uploads) return bench.tell(`upload, ${name}: this build of xetkit has no upload()`);
    await inTurns(bench, async (client, home) => {
      const folder = join(bench.scratch, 'upload-hub');
      await rm(folder, { recursive: true, force: true });
      const hub = await startHub(folder);
      try {
        for (const repo of ['bench/first', 'bench/second', 'bench/third']) await hub.create(repo);
        const step = (/** @type {string} */ work, /** @type {string} */ repo, /** @type {string} */ from) =>
          measure(bench, work, client, home, { work: 'upload', repo, path: 'data.bin', file: from }, hub);
        await step(`upload, ${name}`, 'bench/first', file.file);
        if (name !== 'bf16') return;
        await step('upload, repeated', 'bench/second', file.file);
        await step('upload, 5 % variant', 'bench/third', variant.file);
      } finally {
        await hub.stop();
        await rm(folder, { recursive: true, force: true, maxRetries: 3 });
      }
    });
  },
});

/** @type {Work} */
const variantsOnDisk = {
  name: 'three variants read through the chunk store',
  run: async (bench) => {
    const three = ['bf16', 'variant', 'variant-2'].flatMap((name) => bench.files[name] ?? []);
    await inTurns(
      bench,
      async (client, home) => {
        for (const { repo, path } of three)
          await measure(bench, 'three variants, streamed', client, home, { work: 'memory', repo, path });
        const disk = await bytesIn(home);
        const size = three.reduce((sum, { bytes }) => sum + bytes, 0);
        bench.note('three variants, disk', client.name, {
          seconds: Number.NaN,
          cpuSeconds: 0,
          peakBytes: 0,
          wallSeconds: 0,
          size,
          disk,
        });
      },
      { rounds: 1, only: ['xetkit'] },
    );
  },
};

/** @param {string} folder @returns {Promise<number>} */
async function bytesIn(folder) {
  let sum = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    // In blocks, as the disk has them: many small files take more than their lengths.
    if (entry.isFile()) sum += (await stat(join(entry.parentPath, entry.name))).blocks * 512;
  }
  return sum;
}

/** From the server that the makers of Xet test with, which does not tell what it was asked. @type {Work} */
const fromReference = {
  name: 'from local_cas_server',
  run: async (bench) => {
    const { real, random } = bench.files;
    const { cas: command, python } = bench.tools;
    if (!command || !python || !random) return;
    const folder = join(bench.scratch, 'reference');
    const cas = await startReferenceCas(command, join(folder, 'cas'));
    try {
      const hub = await startHub(join(folder, 'hub'), { casUrl: cas.url });
      try {
        for (const [name, file] of Object.entries({ real, random })) {
          if (!file) continue;
          const work = `from local_cas_server, ${name}`;
          storeIn(cas.url, python, file.file);
          await hub.commit(file.repo, { [file.path]: file.file }, { xet: 'always' });
          await inTurns(bench, async (client, home) => {
            const job = { work: 'download', repo: file.repo, path: file.path };
            const measured = await run(bench, work, client, home, job, hub);
            if (measured) bench.note(work, client.name, measured);
          });
        }
      } finally {
        await hub.stop();
      }
    } finally {
      await cas.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    }
  },
};

/** @type {Work} */
const inChromium = {
  name: 'in Chromium',
  run: async (bench) => {
    const { f32 } = bench.files;
    if (!f32) return;
    const { repo, path } = f32;
    const work = 'in Chromium, f32';
    await inTurns(bench, async (client, home) => {
      const measured = await run(bench, work, client, home, { work: 'page', repo, path });
      if (!measured) return;
      const { again, ...first } = /** @type {Measured & { again: { seconds: number } }} */ (measured);
      bench.note(work, client.name, first);
      bench.note(`${work} again`, client.name, { ...first, ...again });
    });
  },
};

/** @type {Work} */
const bySize = {
  name: 'by size',
  run: async (bench) => {
    for (const bytes of bench.sizes.series) {
      const file = bench.files[seriesName(bytes)];
      if (!file) continue;
      const { repo, path } = file;
      await inTurns(
        bench,
        (client, home) =>
          measure(bench, `by size, ${seriesName(bytes)}`, client, home, { work: 'download', repo, path }),
        { rounds: bytes > 2 ** 31 ? 1 : Math.min(bench.rounds, 3) },
      );
    }
  },
};

/** @type {Work} */
const byWorkers = {
  name: 'by workers',
  run: async (bench) => {
    const { f32 } = bench.files;
    if (!f32) return;
    const { repo, path } = f32;
    await inTurns(
      bench,
      async (client, home) => {
        for (const workers of [0, 1, 2]) {
          await rm(home, { recursive: true, force: true });
          await mkdir(home, { recursive: true });
          await measure(bench, `by workers, ${workers}`, client, home, { work: 'download', repo, path, workers });
        }
      },
      { only: ['xetkit'] },
    );
  },
};

/** @type {Work} */
const byNetwork = {
  name: 'by network',
  run: async (bench) => {
    const { bf16 } = bench.files;
    if (!bf16) return;
    const { repo, path } = bf16;
    const shapes = [
      ...[0, 20, 80].map((latencyMs) => ({ name: `latency ${latencyMs} ms`, shape: { latencyMs } })),
      ...[10, 50].map((rate) => ({ name: `${rate} MB/s a connection`, shape: { bytesPerSecond: rate * 1e6 } })),
    ];
    for (const { name, shape } of shapes) {
      try {
        await inTurns(
          bench,
          async (client, home) => {
            await bench.hub.shape(shape);
            await measure(bench, `${name}, one file`, client, home, { work: 'download', repo, path });
            if ('latencyMs' in shape)
              await measure(bench, `${name}, 100 small files`, client, home, { work: 'snapshot', repo: 'bench/few' });
            await bench.hub.shape({});
          },
          { rounds: Math.min(bench.rounds, 2) },
        );
      } finally {
        await bench.hub.shape({});
      }
    }
  },
};

/** What tells most comes first: a run may have to end early. */
export const QUICK_WORKS = [
  command,
  cold('real'),
  cold('random'),
  warm,
  codec,
  upload('bf16'),
  reads,
  snapshot,
  cold('f32'),
  cold('text'),
  cold('fragmented'),
  upload('random'),
  variantsOnDisk,
  inChromium,
];
export const ALL_WORKS = [
  ...QUICK_WORKS,
  fromReference,
  upload('real'),
  upload('f32'),
  eight,
  byWorkers,
  byNetwork,
  bySize,
];
