import type { FetchRange } from '../../cas/reconstruction.ts';
import { HubError } from '../hub-error.ts';
import { Gate } from './gate.ts';
import type { MirrorMetrics } from './metrics.ts';
import type { XorbCache } from './xorb-cache.ts';
import { lying, type RunWithFrames, type XorbReceiver, type XorbSource } from './xorb-receiver.ts';
import { type RunUnit, runEnd, runStart, type StoredRun } from './xorb-runs.ts';

/** A part of a xorb that somebody wants. */
export interface WantedRuns {
  source: XorbSource;
  /** The range of the upstream's reconstruction that holds it. */
  outer: FetchRange;
  unit: RunUnit;
  start: number;
  end: number;
}

interface Fetching {
  range: FetchRange;
  /** Settles when another run has been stored, or the fetch has ended. */
  progress: Promise<void>;
  notify(): void;
  failure?: { error: unknown };
  ended: boolean;
}

/** A range that is damaged again right after it was fetched is not fetched for ever. */
const MAX_REPAIRS = 3;
const FULL_FOR_MS = 30_000;

/** The store has no room; what was asked for is passed through without being stored. */
class StoreFull extends Error {}

/** Fetches ranges of xorbs, each once, into the store, and reads them from there while they arrive. */
export class XorbFetches {
  readonly #cache: XorbCache;
  readonly #receiver: XorbReceiver;
  readonly #metrics: MirrorMetrics;
  readonly #log: (line: string) => void;
  readonly #gate: Gate;
  readonly #fetching = new Map<string, Fetching[]>();
  #fullUntil = 0;
  #count = 0;

  constructor(parts: {
    cache: XorbCache;
    receiver: XorbReceiver;
    metrics: MirrorMetrics;
    log: (line: string) => void;
    maxFetches: number;
  }) {
    this.#cache = parts.cache;
    this.#receiver = parts.receiver;
    this.#metrics = parts.metrics;
    this.#log = parts.log;
    this.#gate = new Gate(parts.maxFetches);
  }

  get inFlight(): number {
    return this.#count;
  }

  /** The runs that cover what is wanted, in order, each as soon as it is here. */
  async *read(wanted: WantedRuns, signal: AbortSignal): AsyncGenerator<RunWithFrames, void, undefined> {
    const { source, unit } = wanted;
    const unpin = this.#cache.pin(source.xorb);
    let repairs = 0;
    let waits = 0;
    let ahead: { run: StoredRun; frames: Promise<Uint8Array | undefined> } | undefined;
    const reader = this.#cache.reader(source.xorb);
    try {
      for (let at = wanted.start; at < wanted.end; ) {
        const run = await this.#cache.find(source.xorb, unit, at);
        if (run) {
          const frames = await (ahead?.run === run ? ahead.frames : reader.read(run));
          ahead = undefined;
          if (frames) {
            at = runEnd(run, unit);
            waits = 0;
            this.#metrics.add('xorb_bytes_served', frames.length);
            const next = at < wanted.end ? await this.#cache.find(source.xorb, unit, at) : undefined;
            // Read while this one is on its way to the client.
            if (next) ahead = { run: next, frames: reader.read(next) };
            ahead?.frames.catch(() => undefined);
            yield { run, frames };
          } else if (++repairs > MAX_REPAIRS) {
            throw new HubError(500, 'The store of this mirror is damaged and could not be repaired. Check its disk.');
          } else this.#log(`A damaged part of xorb ${source.xorb} is fetched again`);
          continue;
        }
        // A fetch that ends well brings what it was for, unless the upstream cuts a xorb in another way than before.
        if (++waits > MAX_REPAIRS) throw lying(source.xorb);
        try {
          const fetch = this.#covering(source.xorb, unit, at) ?? (await this.#start(wanted, at));
          await this.#waitFor(fetch, source.xorb, unit, at, signal);
        } catch (error) {
          if (!(error instanceof StoreFull)) throw error;
          yield* this.#passThrough(wanted, at, signal);
          return;
        }
      }
    } finally {
      await ahead?.frames.catch(() => undefined);
      await reader.close();
      unpin();
    }
  }

  #covering(xorb: string, unit: RunUnit, at: number): Fetching | undefined {
    return this.#fetching.get(xorb)?.find(({ range }) => range[unit].start <= at && at < range[unit].end);
  }

  async #waitFor(fetch: Fetching, xorb: string, unit: RunUnit, at: number, signal: AbortSignal): Promise<void> {
    while (!(await this.#cache.find(xorb, unit, at))) {
      signal.throwIfAborted();
      if (fetch.failure) throw fetch.failure.error;
      if (fetch.ended) return;
      await raceAbort(fetch.progress, signal);
    }
  }

  /** Starts to fetch the gap around a position, up to what is stored or on its way. */
  async #start({ source, outer, unit }: WantedRuns, at: number): Promise<Fetching> {
    const { xorb } = source;
    const runs = await this.#cache.runs(xorb);
    // Nothing may happen between this look and the entry in the list, or two would fetch the same.
    const others = this.#fetching.get(xorb) ?? [];
    const again = this.#covering(xorb, unit, at);
    if (again) return again;
    const known = [
      ...runs.map((run) => ({
        chunks: { start: runStart(run, 'chunks'), end: runEnd(run, 'chunks') },
        bytes: { start: runStart(run, 'bytes'), end: runEnd(run, 'bytes') },
      })),
      ...others.map(({ range }) => range),
    ];
    const range: FetchRange = { chunks: { ...outer.chunks }, bytes: { ...outer.bytes } };
    for (const { chunks, bytes } of known) {
      const [part, gap] = unit === 'bytes' ? [bytes, range.bytes] : [chunks, range.chunks];
      if (part.end <= at && part.end > gap.start) {
        range.chunks.start = chunks.end;
        range.bytes.start = bytes.end;
      } else if (part.start > at && part.start < gap.end) {
        range.chunks.end = chunks.start;
        range.bytes.end = bytes.start;
      }
    }
    const fetch: Fetching = { range, progress: Promise.resolve(), notify: () => undefined, ended: false };
    const renew = () => {
      const notify = fetch.notify;
      fetch.progress = new Promise((resolve) => {
        fetch.notify = resolve;
      });
      notify();
    };
    renew();
    this.#fetching.set(xorb, [...others, fetch]);
    this.#count++;
    const unpin = this.#cache.pin(xorb);
    this.#gate
      .run(() => this.#fetch(source, outer, fetch, renew))
      .catch((error: unknown) => {
        fetch.failure = { error };
      })
      .finally(() => {
        fetch.ended = true;
        this.#count--;
        unpin();
        const left = this.#fetching.get(xorb)?.filter((other) => other !== fetch) ?? [];
        if (left.length > 0) this.#fetching.set(xorb, left);
        else this.#fetching.delete(xorb);
        renew();
      });
    return fetch;
  }

  async #fetch(source: XorbSource, outer: FetchRange, fetch: Fetching, stored: () => void): Promise<void> {
    const { range } = fetch;
    const bytes = range.bytes.end - range.bytes.start;
    if (Date.now() < this.#fullUntil || !(await this.#cache.reserve(bytes))) throw new StoreFull();
    this.#metrics.add('xorb_fetches', 1);
    for await (const { run, frames } of this.#receiver.receive(source, outer, range, new AbortController().signal)) {
      try {
        await this.#cache.append(source.xorb, run, frames);
      } catch (error) {
        this.#fullUntil = Date.now() + FULL_FOR_MS;
        this.#log(`The store cannot be written (${String(error)}). Content is passed through without being stored.`);
        throw new StoreFull();
      }
      stored();
    }
  }

  async *#passThrough(wanted: WantedRuns, at: number, signal: AbortSignal) {
    const { source, outer, unit, end } = wanted;
    this.#metrics.add('passed_through', 1);
    for await (const one of this.#receiver.receive(source, outer, outer, signal)) {
      if (runEnd(one.run, unit) <= at) continue;
      this.#metrics.add('xorb_bytes_served', one.frames.length);
      yield one;
      if (runEnd(one.run, unit) >= end) return;
    }
  }
}

function raceAbort(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}
