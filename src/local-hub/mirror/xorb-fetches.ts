import { crc32 } from 'node:zlib';
import type { FetchRange } from '../../cas/reconstruction.ts';
import type { Codec } from '../../codec/codec.ts';
import { isXetError } from '../../core/errors.ts';
import { rangeHeader } from '../../core/ranges.ts';
import { FrameCutter, type FrameRun } from '../../xorb/frames.ts';
import { pause } from '../http/pause.ts';
import { HubError } from '../hub-error.ts';
import { frameEnds } from '../store/xorb-index.ts';
import { Gate } from './gate.ts';
import type { MirrorMetrics } from './metrics.ts';
import { type OpenAnswer, type Upstream, UpstreamUnavailable } from './upstream.ts';
import type { XorbCache } from './xorb-cache.ts';
import { type RunUnit, runEnd, runStart, type StoredRun } from './xorb-runs.ts';

/** Source of a xorb: signed URLs of the upstream, which expire. */
export interface XorbSource {
  xorb: string;
  /** The address that serves a range; `renew` asks for another one, as this one was refused. */
  url(range: FetchRange, refused?: string): Promise<string>;
}

/** A part of a xorb that somebody wants. */
export interface WantedRuns {
  source: XorbSource;
  /** The range of the upstream's reconstruction that holds it. */
  outer: FetchRange;
  unit: RunUnit;
  start: number;
  end: number;
}

/** A run with its frames. */
export interface RunWithFrames {
  run: StoredRun;
  frames: Uint8Array;
}

interface Fetching {
  range: FetchRange;
  /** Settles when another run has been stored, or the fetch has ended. */
  progress: Promise<void>;
  notify(): void;
  failure?: { error: unknown };
  ended: boolean;
}

/** A run ends after so many bytes: readers stream along at this distance. */
const RUN_BYTES = 512 * 1024;
const ATTEMPTS = 4;
const RETRY_MS = 300;
/** A range that is damaged again right after it was fetched is not fetched for ever. */
const MAX_REPAIRS = 3;
const FULL_FOR_MS = 30_000;

/** The store has no room; what was asked for is passed through without being stored. */
class StoreFull extends Error {}

/** Fetches ranges of xorbs, each once, into the store, and reads them from there while they arrive. */
export class XorbFetches {
  readonly #cache: XorbCache;
  readonly #upstream: Upstream;
  readonly #codec: Codec;
  readonly #metrics: MirrorMetrics;
  readonly #log: (line: string) => void;
  readonly #gate: Gate;
  readonly #fetching = new Map<string, Fetching[]>();
  #fullUntil = 0;
  #count = 0;

  constructor(parts: {
    cache: XorbCache;
    upstream: Upstream;
    codec: Codec;
    metrics: MirrorMetrics;
    log: (line: string) => void;
    maxFetches: number;
  }) {
    this.#cache = parts.cache;
    this.#upstream = parts.upstream;
    this.#codec = parts.codec;
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
    try {
      for (let at = wanted.start; at < wanted.end; ) {
        const run = await this.#cache.find(source.xorb, unit, at);
        if (run) {
          const frames = await this.#cache.read(source.xorb, run);
          if (frames) {
            at = runEnd(run, unit);
            waits = 0;
            this.#metrics.add('xorb_bytes_served', frames.length);
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
    for await (const { run, frames } of this.#receive(source, outer, range, new AbortController().signal)) {
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
    for await (const one of this.#receive(source, outer, outer, signal)) {
      if (runEnd(one.run, unit) <= at) continue;
      this.#metrics.add('xorb_bytes_served', one.frames.length);
      yield one;
      if (runEnd(one.run, unit) >= end) return;
    }
  }

  /** The checked runs of a range from the upstream. A broken connection is resumed after the last whole frame. */
  async *#receive(
    source: XorbSource,
    outer: FetchRange,
    range: FetchRange,
    signal: AbortSignal,
  ): AsyncGenerator<RunWithFrames, void, undefined> {
    let left = structuredClone(range);
    let refused: string | undefined;
    for (let attempt = 1; ; attempt++) {
      const url = await source.url(outer, refused);
      const answer = await this.#upstream.open(url, { headers: { range: rangeHeader(left.bytes) }, signal });
      if (answer.status !== 206) {
        answer.drop();
        const isRefusal = [400, 403, 416].includes(answer.status);
        const isPassing = answer.status === 429 || answer.status >= 500;
        if (!(isRefusal || isPassing) || attempt >= ATTEMPTS) throw refusal(answer);
        if (isPassing) {
          await pause(attempt * RETRY_MS, signal);
          continue;
        }
        // The URL may have expired; and some storage serves a signed range as a whole only.
        if (refused !== undefined) left = structuredClone(outer);
        refused = url;
        continue;
      }
      let failure: unknown;
      try {
        for await (const one of this.#cut(answer, left)) {
          left.chunks.start = runEnd(one.run, 'chunks');
          left.bytes.start = runEnd(one.run, 'bytes');
          yield one;
        }
      } catch (error) {
        if (!(error instanceof UpstreamUnavailable) && !isXetError(error, 'PROTOCOL')) throw error;
        failure = error;
      } finally {
        answer.drop();
      }
      const isWhole = left.bytes.start === left.bytes.end;
      if (isWhole && left.chunks.start === left.chunks.end) return;
      if (isWhole || attempt >= ATTEMPTS) throw failure instanceof UpstreamUnavailable ? failure : lying(source.xorb);
    }
  }

  /** The runs of an answer, decoded once, so that nothing malformed is stored or handed on. */
  async *#cut(answer: OpenAnswer, { chunks, bytes }: FetchRange): AsyncGenerator<RunWithFrames, void, undefined> {
    const length = bytes.end - bytes.start;
    const cutter = new FrameCutter({ firstChunk: chunks.start, start: bytes.start, length, runBytes: RUN_BYTES });
    const checked = ({ firstChunk, start, frames }: FrameRun): RunWithFrames => {
      const records = this.#codec.recordsOf(frames);
      const ends = Uint32Array.from(frameEnds(frames, records));
      return { run: { firstChunk, start, ends, chunks: records, crc: crc32(frames) }, frames };
    };
    let failure: unknown;
    try {
      for await (const piece of answer.pieces) {
        this.#metrics.add('xorb_bytes_fetched', piece.length);
        for (const run of cutter.push(piece)) yield checked(run);
      }
    } catch (error) {
      failure = error;
    }
    for (const run of cutter.takeComplete()) yield checked(run);
    if (failure !== undefined) throw failure;
  }
}

function refusal({ status }: OpenAnswer): Error {
  if (status >= 500) {
    return new UpstreamUnavailable(502, `The storage of the upstream answered ${status}. Try again later.`);
  }
  return new HubError(502, `The storage of the upstream answered ${status} to a range of a xorb.`);
}

function lying(xorb: string): Error {
  return new HubError(502, `The upstream sent something else than the announced chunks of xorb ${xorb}.`);
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
