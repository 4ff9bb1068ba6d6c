// @ts-check

/** Values of one measure. @param {readonly object[] | undefined} entries @param {string} measure */
export const valuesOf = (entries, measure) =>
  (entries ?? []).map((entry) => Number(/** @type {Record<string, unknown>} */ (entry)[measure]));

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (/** @type {number} */ index) => sorted[index] ?? Number.NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
}

/**
 * What is told of repeated measurements. The lowest and the highest are the spread: with a handful of runs, anything
 * cleverer would claim to know more than was seen.
 * @typedef {{ median: number, least: number, most: number, runs: number }} Summary
 */

/** @param {readonly number[]} values @returns {Summary} */
export function summary(values) {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values), runs: values.length };
}

/** The share of a list below which that much of it lies. @param {readonly number[]} values @param {number} share */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/**
 * How many times as long the other one took, by pairs of runs that were neighbours: what slows a machine for a while
 * slows both of them.
 * @param {readonly number[]} ours @param {readonly number[]} theirs
 */
export function pairedRatio(ours, theirs) {
  const pairs = Math.min(ours.length, theirs.length);
  return median(
    Array.from({ length: pairs }, (_, run) => /** @type {number} */ (theirs[run]) / /** @type {number} */ (ours[run])),
  );
}
