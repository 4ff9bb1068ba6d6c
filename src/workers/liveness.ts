/** Interval of checks in milliseconds, and the number of silent checks after which a worker is given up. */
export interface Patience {
  tickMs: number;
  ticks: number;
}

/** A minute without a word. Whatever a worker is asked for in one go takes a fraction of that on the slowest machine. */
export const PATIENCE: Patience = { tickMs: 5_000, ticks: 12 };
/** Scripts may come over a slow network, so a worker that starts is waited for longer. */
export const START_PATIENCE: Patience = { tickMs: 5_000, ticks: 60 };

/**
 * Notices a worker that ended without an event: one that closed itself, or hangs. It counts ticks rather than time, so that
 * a computer that slept, or a process that was stopped, has not waited; and only while an answer is owed.
 */
export class Liveness {
  readonly #onSilent: (reason: Error) => void;
  readonly #ping: (() => void) | undefined;
  #patience: Patience;
  #owed = 0;
  #silent = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param ping asks for a sign of life, where a worker can give one while it is at work: {@link heard} is to be called for it. */
  constructor(onSilent: (reason: Error) => void, patience: Patience = PATIENCE, ping?: () => void) {
    this.#onSilent = onSilent;
    this.#patience = patience;
    this.#ping = ping;
  }

  /** Waits for an answer that is owed. */
  owe<T>(answer: Promise<T>): Promise<T> {
    this.#owed++;
    this.#timer ??= this.#start();
    const over = () => {
      this.#owed--;
      this.heard();
      if (this.#owed === 0) this.stop();
    };
    answer.then(over, over);
    return answer;
  }

  /** The worker lives. */
  heard(): void {
    this.#silent = 0;
  }

  set patience(patience: Patience) {
    this.#patience = patience;
    this.heard();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #start(): ReturnType<typeof setInterval> {
    this.heard();
    const timer = setInterval(() => {
      this.#silent++;
      if (this.#silent > this.#patience.ticks) {
        this.stop();
        this.#onSilent(new Error('The worker does not answer any more'));
      } else this.#ping?.();
    }, this.#patience.tickMs);
    // Where that is a thing, the timer keeps no process alive.
    (timer as { unref?: () => void }).unref?.();
    return timer;
  }
}
