import type { XetErrorCode } from './errors.ts';

/** Counters of a client since it was created. They only grow, except rates and values with `now` in their name. */
export interface Metrics {
  /** By the service that was asked, retries included. */
  requests: Record<UrlKind, number>;
  /** Waits before another attempt, by the error that made them necessary. */
  retries: Partial<Record<XetErrorCode, number>>;
  /** Bytes, by where they came from. */
  bytes: {
    /** Bodies as received. */
    network: number;
    /** Bodies of xorbs that were sent and accepted. */
    sent: number;
    /** File content that was delivered. */
    content: number;
    /** File content that was found in place. */
    local: number;
    /** File content that was put together from chunks on this machine. */
    cache: number;
    /** File content that came over plain HTTP though it could have come over Xet. */
    fallback: number;
  };
  /** Shares of the content that was wanted, from 0 to 1; all 0 as long as nothing was. */
  hitRates: {
    /** Found in place: nothing was to be done. */
    local: number;
    /** Put together from chunks on this machine. */
    cache: number;
    /** Either of them. */
    all: number;
  };
  /** The budget for data in flight and decoded, in bytes. */
  memory: { limitBytes: number; usedNowBytes: number; peakBytes: number };
  /** Data requests at once. */
  concurrency: { limitNow: number; now: number; peak: number };
  /** Runs decoded in workers and on the calling thread; workers lost to a crash. */
  codec: { inWorkers: number; onThread: number; workersLost: number };
  /** Time spent, in seconds, added up over everything that ran at once. */
  seconds: { resolving: number; planning: number; waitingForData: number; writing: number };
}

/** The stages that are timed. */
export type TimedStage = keyof Metrics['seconds'];

/** Collects the counters of a client. A log derived from another one counts into both. */
export class MetricsLog {
  readonly #whole: MetricsLog | undefined;
  #awaited = 0;
  readonly requests: Metrics['requests'] = { hub: 0, cas: 0, xorb: 0, source: 0 };
  readonly retries: Metrics['retries'] = {};
  readonly bytes: Metrics['bytes'] = { network: 0, sent: 0, content: 0, local: 0, cache: 0, fallback: 0 };
  readonly seconds: Metrics['seconds'] = { resolving: 0, planning: 0, waitingForData: 0, writing: 0 };

  constructor(whole?: MetricsLog) {
    this.#whole = whole;
  }

  requested(kind: UrlKind): void {
    this.requests[kind]++;
    this.#whole?.requested(kind);
  }

  retried(code: XetErrorCode): void {
    this.retries[code] = (this.retries[code] ?? 0) + 1;
    this.#whole?.retried(code);
  }

  add(what: keyof Metrics['bytes'], bytes: number): void {
    this.bytes[what] += bytes;
    this.#whole?.add(what, bytes);
  }

  /** Runs a step and adds its time to a stage. */
  async timed<T>(stage: TimedStage, step: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await step();
    } finally {
      this.took(stage, (performance.now() - started) / 1000);
    }
  }

  took(stage: TimedStage, seconds: number): void {
    this.seconds[stage] += seconds;
    this.#whole?.took(stage, seconds);
  }

  /** Notes that something from the network is waited for until a step has ended. */
  async awaiting<T>(step: Promise<T>): Promise<T> {
    this.await(1);
    try {
      return await step;
    } finally {
      this.await(-1);
    }
  }

  /** The same in two halves, where a promise more for each piece of a body would cost something. */
  await(more: number): void {
    this.#awaited += more;
    this.#whole?.await(more);
  }

  /** Answers, pieces of them and times for another attempt that are waited for now. */
  get awaited(): number {
    return this.#awaited;
  }

  get totalRequests(): number {
    return Object.values(this.requests).reduce((sum, count) => sum + count, 0);
  }
}

/** Shares of the wanted content that were already local. */
export function hitRatesOf({ content, local, cache }: Metrics['bytes']): Metrics['hitRates'] {
  // What comes from chunks here is counted first as such, and then as content when it is delivered.
  const wanted = Math.max(content, cache) + local;
  const share = (bytes: number) => (bytes === 0 ? 0 : bytes / wanted);
  return { local: share(local), cache: share(cache), all: share(local + cache) };
}

/**
 * Service that a request goes to: it decides the credential, the rewriting and the meaning of a status. `source` is an
 * address of the caller's, whose content is uploaded.
 */
export type UrlKind = 'hub' | 'cas' | 'xorb' | 'source';
