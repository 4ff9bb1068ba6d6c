/**
 * One piece of work that several callers wait for. A caller's abort takes only that caller away; the work is
 * aborted when nobody is left. A result, good or bad, is never kept: the next caller starts anew.
 */
export class Shared<T> {
  #running: { promise: Promise<T>; controller: AbortController; waiting: number } | undefined;

  join(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const running = this.#running ?? this.#start(work);
    running.waiting++;
    return new Promise<T>((resolve, reject) => {
      const leave = () => {
        signal?.removeEventListener('abort', onAbort);
        running.waiting--;
      };
      const onAbort = () => {
        leave();
        reject(signal?.reason);
        if (running.waiting === 0) {
          if (this.#running === running) this.#running = undefined;
          running.controller.abort(signal?.reason);
        }
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      running.promise.then(
        (value) => {
          leave();
          resolve(value);
        },
        (error: unknown) => {
          leave();
          reject(error);
        },
      );
    });
  }

  #start(work: (signal: AbortSignal) => Promise<T>) {
    const controller = new AbortController();
    const running = { promise: work(controller.signal), controller, waiting: 0 };
    this.#running = running;
    const done = () => {
      if (this.#running === running) this.#running = undefined;
    };
    running.promise.then(done, done);
    return running;
  }
}
