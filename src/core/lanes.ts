import { ConcurrencyController } from './concurrency.ts';

/** Limits concurrent data requests over all files of a client. */
export class Lanes {
  readonly #controller: ConcurrencyController;
  readonly #now: () => number;
  readonly #waiting: { urgent: () => boolean; admit: () => void }[] = [];
  #used = 0;
  #peak = 0;

  /** A fixed number of lanes, or as many as turn out to serve best; no more than `most` of them in either case. */
  constructor(count: number | 'auto', now: () => number = () => performance.now(), most = Number.POSITIVE_INFINITY) {
    const [start, least, top] = count === 'auto' ? [4, 1, 32] : [count, count, count];
    const limits = { start: Math.min(start, most), least: Math.min(least, most), most: Math.min(top, most) };
    this.#controller = new ConcurrencyController(limits);
    this.#now = now;
  }

  get limit(): number {
    return this.#controller.limit;
  }

  get used(): number {
    return this.#used;
  }

  get peak(): number {
    return this.#peak;
  }

  /** Waits for a free lane; an urgent request, which a file cannot go on without, never waits. */
  enter(urgent: () => boolean, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#used < this.limit || urgent()) {
      this.#take();
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        const index = this.#waiting.indexOf(waiter);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(signal.reason);
      };
      const waiter = {
        urgent,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          this.#take();
          resolve();
        },
      };
      this.#waiting.push(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #take(): void {
    this.#used++;
    this.#peak = Math.max(this.#peak, this.#used);
  }

  leave(): void {
    this.#used--;
    this.recheck();
  }

  /** Data arrived: the number of lanes may change with it. */
  received(bytes: number): void {
    const before = this.limit;
    this.#controller.received(bytes, this.#now(), this.#used >= before);
    if (this.limit > before) this.recheck();
  }

  /** A server had too much to do. */
  backOff(): void {
    this.#controller.backOff();
  }

  /** Looks at those who wait: a lane is free, or one of them became urgent. */
  recheck(): void {
    for (let index = 0; index < this.#waiting.length; ) {
      const waiter = this.#waiting[index];
      if (!waiter) return;
      if (this.#used < this.limit || waiter.urgent()) {
        this.#waiting.splice(index, 1);
        waiter.admit();
      } else index++;
    }
  }
}
