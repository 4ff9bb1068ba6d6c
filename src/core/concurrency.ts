/** Measured over this long before anything is concluded. */
const WINDOW_MS = 200;
/** More requests must bring at least this much more to be worth having. */
const WORTHWHILE_GAIN = 1.05;
/** Windows without a try for more, after one that brought nothing. */
const HOLD_WINDOWS = 15;

export interface ConcurrencyLimits {
  start: number;
  least: number;
  most: number;
}

/**
 * Adapts the number of concurrent requests. Doubles it while throughput grows, then keeps the best value and probes one
 * more from time to time; halves it when a server reports overload.
 */
export class ConcurrencyController {
  readonly #limits: ConcurrencyLimits;
  #limit: number;
  #windowStart: number | undefined;
  #windowBytes = 0;
  #ramping = true;
  /** Rate before the last step up, and the limit to go back to if the step brings nothing. */
  #before: { rate: number; limit: number } | undefined;
  #hold = 0;

  constructor(limits: ConcurrencyLimits) {
    this.#limits = limits;
    this.#limit = limits.start;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Takes note of bytes that arrived; `busy` says that all allowed requests are in use. */
  received(bytes: number, now: number, busy: boolean): void {
    if (this.#windowStart === undefined) {
      // What arrives first was under way before the clock ran.
      this.#windowStart = now;
      return;
    }
    this.#windowBytes += bytes;
    const elapsed = now - this.#windowStart;
    if (elapsed < WINDOW_MS) return;
    const rate = this.#windowBytes / elapsed;
    this.#windowStart = now;
    this.#windowBytes = 0;
    // With requests to spare, the limit is not what decides the rate.
    if (busy) this.#decide(rate);
  }

  #decide(rate: number): void {
    const before = this.#before;
    if (before && rate < before.rate * WORTHWHILE_GAIN) {
      this.#limit = before.limit;
      this.#before = undefined;
      this.#ramping = false;
      this.#hold = HOLD_WINDOWS;
      return;
    }
    this.#before = undefined;
    if (this.#hold > 0) {
      this.#hold--;
      return;
    }
    const next = Math.min(this.#limits.most, this.#ramping ? this.#limit * 2 : this.#limit + 1);
    if (next === this.#limit) return;
    this.#before = { rate, limit: this.#limit };
    this.#limit = next;
  }

  /** A server asked for less: 429, 5xx, or no answer in time. */
  backOff(): void {
    this.#limit = Math.max(this.#limits.least, Math.floor(this.#limit / 2));
    this.#before = undefined;
    this.#ramping = false;
    this.#hold = HOLD_WINDOWS;
  }
}
