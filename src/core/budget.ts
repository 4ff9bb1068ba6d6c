/** A waiter whose turn has not come. */
interface Waiter {
  bytes: number;
  urgent: () => boolean;
  admit: () => void;
}

/**
 * One hard limit for the bytes that all downloads of a client hold at once.
 *
 * A request is urgent when its file cannot go on without it: what comes next in file order, with nothing of
 * the file left to hand out. Urgent ones are always admitted, or a slow reader of one file could stop all
 * others for ever; the rest leave a reserve free for them, so that the limit still holds.
 */
export class MemoryBudget {
  limitBytes: number;
  readonly #reserveBytes: number;
  #used = 0;
  #peak = 0;
  #waiting: Waiter[] = [];

  constructor(limitBytes: number, reserveBytes: number) {
    this.limitBytes = limitBytes;
    this.#reserveBytes = reserveBytes;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get peakBytes(): number {
    return this.#peak;
  }

  /** Waits until the bytes fit. `urgent` is asked again whenever something is released. */
  acquire(bytes: number, urgent: () => boolean, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#fits(bytes, urgent())) {
      this.#take(bytes);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        bytes,
        urgent,
        admit: () => {
          signal?.removeEventListener('abort', onAbort);
          this.#take(bytes);
          resolve();
        },
      };
      this.#waiting.push(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Takes the bytes if they fit right now, and says whether they did. */
  tryAcquire(bytes: number, urgent = false): boolean {
    const fits = this.#fits(bytes, urgent);
    if (fits) this.#take(bytes);
    return fits;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.recheck();
  }

  /** Looks at the waiters again: after a release, or when another one became urgent. */
  recheck(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) {
      if (this.#fits(waiter.bytes, waiter.urgent())) waiter.admit();
      else this.#waiting.push(waiter);
    }
  }

  #fits(bytes: number, urgent: boolean): boolean {
    return urgent || this.#used + bytes <= this.limitBytes - this.#reserveBytes;
  }

  #take(bytes: number): void {
    this.#used += bytes;
    this.#peak = Math.max(this.#peak, this.#used);
  }
}
