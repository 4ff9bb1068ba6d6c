// @ts-check
// What is moved in the benchmark: files of the kinds that repositories hold, the same ones on every machine.
import { createHash } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { uniform } from '../scripts/demo/weights.mjs';

export const MB = 1e6;
const PIECE_BYTES = 8 * 1024 * 1024;
const KNOTS = 4096;

/** Where the normal distribution reaches a share, by bisection: exact enough for weights. @param {number} share */
function quantile(share) {
  let low = -6;
  let high = 6;
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (cumulative(middle) < share) low = middle;
    else high = middle;
  }
  return low;
}

/** @param {number} x */
function cumulative(x) {
  // Trapezoids from far left, remembered in a table: the quantiles are looked up a few thousand times.
  const at = Math.max(0, Math.min(TABLE.length - 2, Math.floor((x + 6) / STEP)));
  const share = (x + 6) / STEP - at;
  return /** @type {number} */ (TABLE[at]) * (1 - share) + /** @type {number} */ (TABLE[at + 1]) * share;
}

const STEP = 0.001;
const TABLE = (() => {
  const sums = new Float64Array(12 / STEP + 1);
  for (let index = 1; index < sums.length; index++) {
    const x = -6 + (index - 0.5) * STEP;
    sums[index] = /** @type {number} */ (sums[index - 1]) + (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * STEP;
  }
  return sums;
})();

const QUANTILES = Float64Array.from({ length: KNOTS + 1 }, (_, index) =>
  quantile(Math.min(1 - 1e-6, Math.max(1e-6, index / KNOTS))),
);

/**
 * Normally distributed floats, many of them in little time: between quantiles that are looked up.
 * @param {Float32Array} into @param {number} scale @param {() => number} next a 32-bit generator
 */
function fillNormals(into, scale, next) {
  for (let index = 0; index < into.length; index++) {
    const drawn = next();
    const knot = drawn >>> 20;
    const here = /** @type {number} */ (QUANTILES[knot]);
    const there = /** @type {number} */ (QUANTILES[knot + 1]);
    into[index] = scale * (here + ((there - here) * (drawn & 0xfffff)) / 0x100000);
  }
}

/** @param {number} seed */
function generator(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Pieces of a kind of content. @typedef {(piece: Uint8Array<ArrayBuffer>, next: () => number) => void} Fill */

/** @type {Record<'f32' | 'bf16' | 'random' | 'text', Fill>} */
const KINDS = {
  f32: (piece, next) => fillNormals(new Float32Array(piece.buffer, 0, piece.length >> 2), 0.02, next),
  bf16: (piece, next) => {
    const count = piece.length >> 1;
    const floats = new Float32Array(count);
    fillNormals(floats, 0.02, next);
    const bits = new Uint32Array(floats.buffer);
    const halves = new Uint16Array(piece.buffer, 0, count);
    for (let index = 0; index < count; index++) halves[index] = /** @type {number} */ (bits[index]) >>> 16;
  },
  random: (piece, next) => {
    const words = new Uint32Array(piece.buffer, 0, piece.length >> 2);
    for (let index = 0; index < words.length; index++) words[index] = next();
  },
  text: (piece, next) => {
    for (let at = 0; at < piece.length; ) {
      const drawn = next();
      // Words of a small vocabulary, the first ones the most frequent, as in languages.
      const word = /** @type {Uint8Array} */ (WORDS[Math.floor(WORDS.length * ((drawn >>> 8) / 2 ** 24) ** 3)]);
      piece.set(word.subarray(0, piece.length - at), at);
      at += word.length;
    }
  },
};

const WORDS = (() => {
  const next = generator(99);
  return Array.from({ length: 5000 }, () => {
    const length = 2 + (next() % 9);
    const letters = Array.from({ length }, () => 97 + (next() % 26));
    return Uint8Array.from([...letters, next() % 12 === 0 ? 10 : 32]);
  });
})();

/**
 * Writes a file of a kind. Content of a seed is the same whatever the size: a longer one only goes on.
 * @param {string} path @param {keyof typeof KINDS} kind @param {number} bytes @param {number} seed
 */
export async function writeContent(path, kind, bytes, seed) {
  const next = generator(seed * 2654435761);
  const piece = new Uint8Array(PIECE_BYTES);
  const file = await open(path, 'w');
  try {
    for (let at = 0; at < bytes; at += piece.length) {
      KINDS[kind](piece, next);
      await file.write(piece, 0, Math.min(piece.length, bytes - at));
    }
  } finally {
    await file.close();
  }
}

/**
 * A share of the bytes replaced, in some runs: what a short training leaves of a file. Its beginning stays, as headers do;
 * it is what servers find a related file by.
 * @param {string} from @param {string} to @param {{ share: number, runs: number, seed: number }} change
 */
export async function writeVariant(from, to, { share, runs, seed }) {
  const source = await open(from);
  const target = await open(to, 'w');
  const next = generator(seed * 40503);
  try {
    const { size } = await source.stat();
    const run = Math.floor((size * share) / runs / 4) * 4;
    const spacing = Math.floor(size / runs / 8) * 8;
    const piece = new Uint8Array(PIECE_BYTES);
    for (let at = 0; at < size; at += piece.length) {
      await source.read(piece, 0, piece.length, at);
      await target.write(piece, 0, Math.min(piece.length, size - at));
    }
    const changed = new Uint8Array(run);
    for (let index = 0; index < runs; index++) {
      KINDS.f32(changed, next);
      await target.write(changed, 0, changed.length, (index + 0.5) * spacing);
    }
  } finally {
    await source.close();
    await target.close();
  }
}

/**
 * Files of a few kilobytes in some folders, every fifth of them text that is no matter of Xet.
 * @param {string} folder @param {number} count
 */
export async function writeSmallFiles(folder, count) {
  const random = uniform(5);
  const next = generator(6);
  for (let index = 0; index < count; index++) {
    const text = index % 5 === 0;
    const bytes = new Uint8Array(Math.floor(1000 + random() ** 3 * 60_000));
    if (text) KINDS.text(bytes, next);
    else for (let at = 0; at < bytes.length; at++) bytes[at] = next();
    const home = join(folder, `part-${index % 16}`);
    await mkdir(home, { recursive: true });
    await writeFile(join(home, `${String(index).padStart(4, '0')}.${text ? 'json' : 'bin'}`), bytes);
  }
}

/**
 * A file of slices that lie in many other files, in turn: what remains after many versions. Gives the others' paths.
 * @param {string} folder @param {number} bytes
 */
export async function writeFragmented(folder, bytes) {
  const sources = 16;
  const slice = 512 * 1024;
  const each = Math.ceil(bytes / sources / slice) * slice;
  const paths = Array.from({ length: sources }, (_, index) => join(folder, `source-${index}.bin`));
  for (const [index, path] of paths.entries()) await writeContent(path, 'random', each, 100 + index);
  const target = await open(join(folder, 'fragmented.bin'), 'w');
  const handles = await Promise.all(paths.map((path) => open(path)));
  try {
    const piece = new Uint8Array(slice);
    for (let at = 0; at < each; at += slice) {
      for (const handle of handles) {
        await handle.read(piece, 0, slice, at);
        await target.write(piece);
      }
    }
  } finally {
    await Promise.all([...handles, target].map((handle) => handle.close()));
  }
  return paths;
}

/** A short name for what files were made with, so that files of another making are not taken for them. @param {unknown} value */
export const fingerprint = (value) => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);
