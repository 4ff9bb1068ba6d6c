import { isXetError, NO_LONGER_WANTED, publicUrl, XetError } from '../core/errors.ts';
import { networkError } from './network-error.ts';
import { isLate } from './standstill.ts';

/** The abort of one request: by the caller, by a timeout, or because nobody wants the rest. */
export class RequestGuard {
  readonly #controller = new AbortController();
  readonly url: string;
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort = () => this.#controller.abort(this.#outer?.reason);

  constructor(url: string, outer: AbortSignal | undefined) {
    this.url = url;
    this.#outer = outer;
    outer?.throwIfAborted();
    outer?.addEventListener('abort', this.#onOuterAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Runs a step that must not take longer than `ms`; past it the connection is closed. */
  async within<T>(ms: number, code: 'TIMEOUT' | 'STALLED', step: () => Promise<T>): Promise<T> {
    const watch = this.watch(ms, code);
    try {
      return await watch.over(step());
    } finally {
      watch.end();
    }
  }

  /** Closes the connection when one of several steps takes longer than `ms`. */
  watch(ms: number, code: 'TIMEOUT' | 'STALLED'): Watch {
    return new Watch(this.signal, ms, () => {
      const what = code === 'TIMEOUT' ? 'did not answer' : 'sent no byte';
      const said = `${publicUrl(this.url)} ${what} for ${ms / 1000} s.`;
      this.#controller.abort(new XetError(code, said, { url: this.url, retryable: true }));
    });
  }

  /** Maps a failed fetch or read to the caller's abort, a timeout or a network error. */
  explain(error: unknown): unknown {
    if (this.#outer?.aborted) return this.#outer.reason;
    if (isXetError(error)) return error;
    if (isXetError(this.signal.reason)) return this.signal.reason;
    return networkError(error, this.url);
  }

  drop(): void {
    this.release();
    if (!this.signal.aborted) this.#controller.abort(NO_LONGER_WANTED);
  }

  release(): void {
    this.#outer?.removeEventListener('abort', this.#onOuterAbort);
  }
}

/**
 * Ends a wait that takes too long, or when the signal aborts. Bodies come in thousands of pieces: one timer and one
 * listener serve all waits for them.
 */
class Watch {
  readonly #signal: AbortSignal;
  readonly #ms: number;
  readonly #onTooLong: () => void;
  /** Of the wait that is going on. */
  #reject: ((reason: unknown) => void) | undefined;
  #since = 0;
  /** Due time of the timer, by the clock of the day. */
  #dueMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(signal: AbortSignal, ms: number, onTooLong: () => void) {
    this.#signal = signal;
    this.#ms = ms;
    this.#onTooLong = onTooLong;
    // A fetch of somebody else's making may not listen to its signal.
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  over<T>(step: Promise<T>): Promise<T> {
    this.#since = performance.now();
    if (this.#timer === undefined) this.#lookAfter(this.#ms);
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      if (this.#signal.aborted) reject(this.#signal.reason);
      const settle =
        <R>(how: (result: R) => void) =>
        (result: R) => {
          // Before the next wait can begin.
          this.#reject = undefined;
          how(result);
        };
      step.then(settle(resolve), settle(reject));
    });
  }

  /** Whoever gave up on a body in the middle of it may never ask for more: no timer is left behind for that. */
  readonly #onAbort = (): void => {
    clearTimeout(this.#timer);
    this.#reject?.(this.#signal.reason);
  };

  readonly #look = (): void => {
    this.#timer = undefined;
    // Between two waits it is the reader who takes his time.
    if (!this.#reject) return;
    // After a standstill, what has arrived meanwhile is still to be read.
    if (isLate(this.#dueMs)) this.#since = performance.now();
    const leftMs = this.#since + this.#ms - performance.now();
    if (leftMs > 0) this.#lookAfter(leftMs);
    else this.#onTooLong();
  };

  #lookAfter(ms: number): void {
    this.#dueMs = Date.now() + ms;
    this.#timer = setTimeout(this.#look, ms);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}
