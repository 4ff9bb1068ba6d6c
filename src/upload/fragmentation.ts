/** When a file counts as scattered; the numbers are those of native clients. */
export interface FragmentationLimits {
  /** Terms that are looked at: the last ones of the file. */
  window: number;
  /** Chunks that a term should have on average. */
  chunksPerTerm: number;
  /** A file that was not scattered so far may fall to this share of it. */
  tolerance: number;
}

export const FRAGMENTATION: FragmentationLimits = { window: 128, chunksPerTerm: 8, tolerance: 0.5 };

/**
 * Keeps a file from being scattered over ever more xorbs: where the last terms were short, known chunks are stored
 * anew unless they make a longer run than those did. What this costs once to store is paid back by every download.
 */
export class FragmentationRule {
  readonly #limits: FragmentationLimits;
  /** Chunks of the last terms, the newest last. */
  readonly #terms: number[] = [];
  #chunks = 0;
  /** Whether known chunks were refused, and the average has not recovered since. */
  #strict = false;

  constructor(limits: FragmentationLimits = FRAGMENTATION) {
    this.#limits = limits;
  }

  /** Whether a run of so many known chunks may begin a term. To go on with the term before never needs leave. */
  allows(run: number): boolean {
    const { window, chunksPerTerm, tolerance } = this.#limits;
    if (this.#terms.length < window) return true;
    const average = this.#chunks / this.#terms.length;
    if (average >= chunksPerTerm * (this.#strict ? 1 : tolerance)) {
      this.#strict = false;
      return true;
    }
    if (run >= average) return true;
    this.#strict = true;
    return false;
  }

  /** Chunks that were added to the file, and whether they went on with its last term. */
  added(chunks: number, continued: boolean): void {
    this.#chunks += chunks;
    if (continued && this.#terms.length > 0) {
      this.#terms[this.#terms.length - 1] = (this.#terms.at(-1) ?? 0) + chunks;
      return;
    }
    this.#terms.push(chunks);
    if (this.#terms.length > this.#limits.window) this.#chunks -= this.#terms.shift() ?? 0;
  }
}
