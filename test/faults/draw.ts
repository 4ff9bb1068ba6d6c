import { uniform } from '../../scripts/demo/weights.mjs';

/** Seeded choices: the same seed draws the same run. */
export class Draw {
  readonly #next: () => number;

  constructor(seed: number) {
    // Neighbouring seeds of the generator begin alike; the first numbers are thrown away.
    this.#next = uniform(Math.imul(seed, 2654435761) ^ 0x5bd1e995);
    for (let index = 0; index < 8; index++) this.#next();
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.#next() * (high - low + 1));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.whole(0, items.length - 1)] as T;
  }

  /** True in so many of a hundred. */
  percent(chance: number): boolean {
    return this.#next() * 100 < chance;
  }
}
