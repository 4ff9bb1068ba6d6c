// @ts-check
import { pairedRatio, valuesOf } from './statistics.mjs';

/** @typedef {import('./works.mjs').Results} Results */

export const OTHERS = /** @type {const} */ (['native', 'hub-js']);

// What the project wants to reach, against each of the others, as ratios within one run.

/**
 * A goal is about one or more works; with more than one, the lowest ratio counts.
 * @typedef {object} Goal
 * @property {string} text
 * @property {string[]} works
 * @property {'seconds' | 'cpuSeconds' | 'peakBytes'} measure
 * @property {Partial<Record<'native' | 'hub-js', number>>} atLeast how many times as much the other one needs
 */

/** @type {Goal[]} */
export const GOALS = [
  {
    text: 'cold download, real float weights',
    works: ['cold download, real'],
    measure: 'seconds',
    atLeast: { native: 1.2, 'hub-js': 5 },
  },
  {
    text: 'cold download, random data',
    works: ['cold download, random'],
    measure: 'seconds',
    atLeast: { native: 1.5, 'hub-js': 2 },
  },
  {
    text: 'snapshot, 1,000 small files',
    works: ['snapshot, 1000 small files'],
    measure: 'seconds',
    atLeast: { native: 1.5, 'hub-js': 5 },
  },
  {
    text: 'warm repeat, in place',
    works: ['warm repeat, in place'],
    measure: 'seconds',
    atLeast: { native: 3, 'hub-js': 10 },
  },
  {
    text: 'warm repeat, to another folder',
    works: ['warm repeat, to another folder'],
    measure: 'seconds',
    atLeast: { native: 3, 'hub-js': 10 },
  },
  { text: '5 % variant', works: ['5 % variant'], measure: 'seconds', atLeast: { native: 3, 'hub-js': 10 } },
  {
    text: 'chunk + hash, one thread',
    works: ['chunk + hash, bf16', 'chunk + hash, random'],
    // The native client may use more threads than one.
    measure: 'cpuSeconds',
    atLeast: { native: 0.6, 'hub-js': 2.5 },
  },
  {
    text: 'upload, float weights',
    works: ['upload, real', 'upload, bf16', 'upload, f32'],
    measure: 'seconds',
    atLeast: { native: 0.8, 'hub-js': 5 },
  },
  {
    text: 'peak memory, 1 GiB file',
    works: ['by size, series-1074'],
    measure: 'peakBytes',
    atLeast: { native: 2, 'hub-js': 1 },
  },
  {
    text: '`xetkit download` of a 1 KB file, whole process',
    works: ['command, 1 KB file'],
    measure: 'seconds',
    atLeast: { native: 1 / 0.3 },
  },
  {
    text: 'eight large files at once',
    works: ['eight large files at once'],
    measure: 'seconds',
    atLeast: { native: 1.2, 'hub-js': 5 },
  },
];

/** How many times as much another client needs. @param {Results} results @param {string} work @param {string} other @param {string} [measure] */
export function ratioOf(results, work, other, measure = 'seconds') {
  const ours = valuesOf(results[work]?.xetkit, measure);
  const theirs = valuesOf(results[work]?.[other], measure);
  return ours.length > 0 && theirs.length > 0 ? pairedRatio(ours, theirs) : undefined;
}

/** @param {Results} results */
export function goalLines(results) {
  return GOALS.flatMap(({ text, works, measure, atLeast }) =>
    OTHERS.flatMap((other) => {
      const goal = atLeast[other];
      if (goal === undefined) return [];
      const ratios = works.flatMap((work) => ratioOf(results, work, other, measure) ?? []);
      if (ratios.length === 0) return [];
      const reached = Math.min(...ratios);
      return [{ text, other, goal, reached, ok: reached >= goal, works, measure }];
    }),
  );
}
