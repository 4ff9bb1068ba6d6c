import type { XetError } from '../core/errors.ts';
import type { MetricsLog } from '../core/metrics.ts';
import { standstills } from './standstill.ts';

export interface TriesParts {
  /** Failures in a row, the last of which is thrown. With 1 there is neither a second attempt nor a wait. */
  attempts: number;
  /** True if to wait, for as long as it takes, while this device knows that it is offline. */
  waits: boolean;
  signal: AbortSignal | undefined;
  /** The wait before the next attempt. */
  pause: (attempt: number, attempts: number, error: XetError) => Promise<void>;
  log: MetricsLog;
}

/**
 * Attempts at one thing. Failures count as long as they follow each other without progress; those of a device that is
 * offline or has slept say nothing about the server, so the count starts over.
 */
export class Tries {
  readonly #parts: TriesParts;
  #failures = 0;
  #standstills = standstills();

  constructor(parts: TriesParts) {
    this.#parts = parts;
  }

  /** Some of it has arrived. */
  progressed(): void {
    this.#failures = 0;
  }

  /** Returns when it is time for the next attempt; throws the error if there is none. @param attempts if fewer than usual. */
  async failed(error: XetError, attempts = this.#parts.attempts): Promise<void> {
    const { waits, signal, pause, log } = this.#parts;
    if (waits && attempts > 1 && isOutage(error) && isOffline()) {
      await log.awaiting(untilOnline(signal));
      this.#failures = 0;
      return;
    }
    const seen = standstills();
    if (seen > this.#standstills) this.#failures = 0;
    this.#standstills = seen;
    if (++this.#failures >= attempts) throw error;
    await log.awaiting(pause(this.#failures, attempts, error));
  }
}

/** True if no server has said anything: it may be the network. */
export function isOutage({ code, status }: XetError): boolean {
  return status === undefined && (code === 'NETWORK' || code === 'TIMEOUT' || code === 'STALLED');
}

/** True if this device knows that it has no network. Programs outside of browsers never know. */
export function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}

/** Not every kind of worker is told when the network is back. */
const LOOK_EVERY_MS = 1_000;

function untilOnline(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearInterval(timer);
      globalThis.removeEventListener('online', look);
      signal?.removeEventListener('abort', onAbort);
    };
    const look = () => {
      if (isOffline()) return;
      end();
      resolve();
    };
    const onAbort = () => {
      end();
      reject(signal?.reason);
    };
    const timer = setInterval(look, LOOK_EVERY_MS);
    globalThis.addEventListener('online', look);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
  });
}
