/**
 * Runs a step for each item in order, at most so many at once, and gives the results in the order of the items.
 * The first failure is thrown, once what was under way has ended; nothing new is begun after it.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  atOnce: number,
  step: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  let failure: { error: unknown } | undefined;
  const runner = async () => {
    for (const [index, item] of queue) {
      if (failure) return;
      try {
        results[index] = await step(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, runner));
  if (failure) throw failure.error;
  return results;
}

/** Items of which so many may be under way at once. */
export interface ParallelBatch<T> {
  items: readonly T[];
  atOnce: number;
}

/**
 * Runs a step for each item of several batches at the same time. The first failure, or an abort of `signal`, ends
 * all of them and is thrown when they have ended.
 */
export async function untilFirstFailure<T>(
  batches: readonly ParallelBatch<T>[],
  step: (item: T, signal: AbortSignal) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const underWay = new Set<AbortController>();
  let end: { reason: unknown } | undefined;
  const endAll = (reason: unknown) => {
    end ??= { reason };
    for (const controller of underWay) controller.abort(reason);
  };
  const onAbort = () => endAll(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener('abort', onAbort, { once: true });
  const runOne = async (item: T) => {
    if (end) throw end.reason;
    // One for each item: Node warns of a leak where more than ten things wait for the same signal.
    const controller = new AbortController();
    underWay.add(controller);
    try {
      await step(item, controller.signal);
    } catch (error) {
      endAll(error);
      throw error;
    } finally {
      underWay.delete(controller);
    }
  };
  await Promise.allSettled(batches.map(({ items, atOnce }) => inParallel(items, atOnce, runOne)));
  signal?.removeEventListener('abort', onAbort);
  if (end) throw end.reason;
}

/**
 * Lets fewer and fewer steps run at once when too many turn out to be under way. A step that fails for that reason is taken
 * again when there is room; alone, it fails.
 */
export class Narrowing {
  readonly #isTooMany: (error: unknown) => boolean;
  #most = Number.POSITIVE_INFINITY;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(isTooMany: (error: unknown) => boolean) {
    this.#isTooMany = isTooMany;
  }

  async run<T>(step: () => Promise<T>): Promise<T> {
    for (;;) {
      while (this.#running >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const most = this.#most;
      this.#running++;
      try {
        return await step();
      } catch (error) {
        if (!this.#isTooMany(error) || most === 1) throw error;
        // Those that were under way together fail together, which says only once that they were too many.
        if (most === this.#most) this.#most = Math.max(1, Math.floor(this.#running / 2));
      } finally {
        this.#running--;
        for (const wake of this.#waiting.splice(0)) wake();
      }
    }
  }
}
