// @ts-check
// Which bytes of a file came from where.

/**
 * - `network`: fetched now.
 * - `cache`: of this file, fetched by an earlier go.
 * - `shared`: chunks that another file brought here.
 * @typedef {'network' | 'cache' | 'shared'} Source
 * @typedef {{ start: number, end: number, source: Source }} Run bytes `start` (included) to `end` (excluded)
 */

/** @type {readonly Source[]} */
export const SOURCES = ['network', 'cache', 'shared'];

/** Runs from the start of a file on, in order, without gaps and as few as can be. */
export class Sources {
  /** @type {Run[]} */
  runs;

  /** @param {Run[]} [runs] */
  constructor(runs = []) {
    this.runs = runs;
  }

  get end() {
    return this.runs.at(-1)?.end ?? 0;
  }

  /** @param {number} length @param {Source} source */
  append(length, source) {
    const { end } = this;
    const last = this.runs.at(-1);
    if (last?.source === source) last.end += length;
    else this.runs.push({ start: end, end: end + length, source });
  }

  /** @param {number} position */
  at(position) {
    return this.runs.find(({ start, end }) => start <= position && position < end)?.source;
  }

  /** Bytes by source, of a part of the file. */
  bytes(from = 0, to = Number.POSITIVE_INFINITY) {
    const sums = { network: 0, cache: 0, shared: 0 };
    for (const { start, end, source } of this.runs) {
      sums[source] += Math.max(0, Math.min(end, to) - Math.max(start, from));
    }
    return sums;
  }

  /** These runs, and behind them what others know of the rest. @param {Sources} others */
  followedBy(others) {
    const { end } = this;
    const rest = others.runs.filter((run) => run.end > end).map((run) => ({ ...run, start: Math.max(run.start, end) }));
    return new Sources([...this.runs, ...rest]);
  }
}

/**
 * Says where bytes that were on this machine came from. What an earlier go delivered is known run by run. What it had
 * fetched ahead, and nobody saw come, is known by its amount only; the rest must have come with other files.
 */
export class LocalOrigin {
  #earlier;
  #unseen;

  /** @param {{ sources: Sources, kept: number } | undefined} earlier what it added to the cache, in bytes */
  constructor(earlier) {
    this.#earlier = earlier?.sources;
    const { network = 0, cache = 0 } = earlier?.sources.bytes() ?? {};
    this.#unseen = Math.max(0, (earlier?.kept ?? 0) - network - cache);
  }

  /** @param {number} position @param {number} length @returns {Source} */
  of(position, length) {
    const known = this.#earlier?.at(position);
    if (known) return known === 'shared' ? 'shared' : 'cache';
    if (this.#unseen < length / 2) return 'shared';
    this.#unseen -= length;
    return 'cache';
  }
}
