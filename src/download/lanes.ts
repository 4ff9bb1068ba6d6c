/** How many requests may run at once, shared by all files of a client. */
export class Lanes {
  #free: number;
  readonly #waiting: { urgent: () => boolean; admit: () => void }[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Waits for a free lane; an urgent request, which a file cannot go on without, never waits. */
  enter(urgent: () => boolean, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#free > 0 || urgent()) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason);
      };
      const waiter = {
        urgent,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          this.#free--;
          resolve();
        },
      };
      this.#waiting.push(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  leave(): void {
    this.#free++;
    this.recheck();
  }

  /** Looks at those who wait: a lane is free, or one of them became urgent. */
  recheck(): void {
    for (let index = 0; index < this.#waiting.length; ) {
      const waiter = this.#waiting[index];
      if (!waiter) return;
      if (this.#free > 0 || waiter.urgent()) {
        this.#waiting.splice(index, 1);
        waiter.admit();
      } else index++;
    }
  }
}
