/** Interval of the checks in milliseconds, and the number of silent checks after which a worker counts as dead. */
export interface WorkerTimeout {
  tickMs: number;
  ticks: number;
}

/** A minute. A call takes a fraction of that on the slowest machine, and a script that takes longer to load is worth less than another thread. */
export const WORKER_TIMEOUT: WorkerTimeout = { tickMs: 5_000, ticks: 12 };

/**
 * Detects a worker that ended without an event because it closed itself, or that hangs. It counts ticks instead of
 * time, so that hours in which the computer slept or the process was stopped do not count. It checks only while an
 * answer is outstanding.
 */
export class Liveness {
  readonly #onSilent: (reason: Error) => void;
  readonly #ping: (() => void) | undefined;
  readonly #timeout: WorkerTimeout;
  #pending = 0;
  #silent = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param ping asks the worker for a sign of life, if it can give one while it works; call {@link beat} when it does */
  constructor(onSilent: (reason: Error) => void, timeout: WorkerTimeout = WORKER_TIMEOUT, ping?: () => void) {
    this.#onSilent = onSilent;
    this.#timeout = timeout;
    this.#ping = ping;
  }

  /** Watches the worker until this answer settles. */
  watch<T>(answer: Promise<T>): Promise<T> {
    this.#pending++;
    this.#timer ??= this.#start();
    const settled = () => {
      this.#pending--;
      this.beat();
      if (this.#pending === 0) this.stop();
    };
    answer.then(settled, settled);
    return answer;
  }

  /** Records a sign of life. */
  beat(): void {
    this.#silent = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #start(): ReturnType<typeof setInterval> {
    this.beat();
    const timer = setInterval(() => {
      this.#silent++;
      if (this.#silent > this.#timeout.ticks) {
        this.stop();
        this.#onSilent(new Error('The worker stopped answering'));
      } else this.#ping?.();
    }, this.#timeout.tickMs);
    // In Node the timer must not keep the process alive.
    (timer as { unref?: () => void }).unref?.();
    return timer;
  }
}
