import type { FileSpan } from '../core/content.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { type ByteRange, without } from '../core/ranges.ts';
import { bringRange } from '../download/bring-range.ts';
import { readRange } from '../download/read-range.ts';
import { Sections } from '../download/sections.ts';
import { type FileReads, type FileReadsParts, filled } from './file-reads.ts';
import { ReadAhead } from './read-ahead.ts';
import type { ReadCache } from './read-cache.ts';
import { SharedFetch, type Waiter } from './shared-fetch.ts';

export interface SharedReadsParts extends FileReadsParts {
  memory: ReadCache;
}

/**
 * All reads of one opened file: what is asked of the CAS, what is on its way and what has come serves every one of
 * them. Small reads bring what lies around them; large ones go by, and are shared only while they are under way.
 */
export class SharedReads implements FileReads {
  readonly parts: SharedReadsParts;
  readonly #whole: ByteRange;
  readonly #key: string;
  readonly #ahead: ReadAhead;
  readonly #sections = new Sections();
  #flights: SharedFetch[] = [];

  constructor(parts: SharedReadsParts) {
    const { size, xetHash, etag } = parts.file;
    this.parts = parts;
    this.#whole = { start: 0, end: size };
    // Content is known by its hash, whoever opened it.
    this.#key = `${xetHash ?? etag} ${size}`;
    this.#ahead = new ReadAhead(size, parts.memory.fetchBytes);
  }

  read(range: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    return filled(range.end - range.start, (bytes, policy) => this.#fill(bytes, range, signal, policy === 'refetch'));
  }

  stream(range: ByteRange, signal: AbortSignal, cautious = false): AsyncGenerator<FileSpan, void, undefined> {
    const { engine, file } = this.parts;
    const both = AbortSignal.any([this.parts.signal, signal]);
    return readRange(engine, file, range, { signal: both, sections: this.#sections, cautious });
  }

  async #fill(bytes: Uint8Array, range: ByteRange, signal: AbortSignal | undefined, refetch: boolean): Promise<void> {
    const { memory } = this.parts;
    this.parts.signal.throwIfAborted();
    signal?.throwIfAborted();
    const whole = this.#isWhole(range);
    const passengers: Waiter[] = [];
    if (whole && !(!refetch && memory.isVerified(this.#key, range))) {
      const flight = this.#flights.find((one) => this.#startsWhole(one, refetch)) ?? this.#start(range, refetch);
      passengers.push(flight.join(range, bytes, range.start, true));
    } else {
      const missing = refetch ? [range] : memory.copy(this.#key, range, bytes);
      if (missing.length === 0) return this.#ahead.follow(range);
      passengers.push(...this.#board(missing, range, bytes, refetch));
    }
    const leave = (reason: unknown) => {
      for (const passenger of passengers) passenger.leave(reason);
    };
    const onAbort = () => leave(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.all(passengers.map(({ done }) => done));
    } finally {
      signal?.removeEventListener('abort', onAbort);
      leave(new XetError('CLOSED', 'Another part of the read failed.'));
    }
  }

  /** Joins what is on its way, and starts what is not, until all that is missing will come. */
  #board(missing: readonly ByteRange[], read: ByteRange, bytes: Uint8Array, refetch: boolean): Waiter[] {
    const passengers: Waiter[] = [];
    const left = [...missing];
    for (let hole = left.shift(); hole; hole = left.shift()) {
      const { start } = hole;
      const flight =
        this.#flights.find((one) => this.#comesSoon(one, start, refetch)) ??
        this.#start(refetch ? hole : this.#worthFetching(read, hole), refetch);
      const part = { start, end: Math.min(hole.end, flight.range.end) };
      passengers.push(flight.join(part, bytes, read.start));
      left.unshift(...without(hole, [part]));
    }
    return passengers;
  }

  /** Range to fetch for a hole: its surroundings as well, except what is held or on its way. */
  #worthFetching(read: ByteRange, hole: ByteRange): ByteRange {
    const { memory } = this.parts;
    const window = this.#ahead.window(read, hole);
    // All of a small file is the one thing that can be verified.
    if (this.#isWhole(window)) return window;
    const coming = this.#flights.filter((one) => one.isOpen).map(({ ahead }) => ahead);
    const others = [...memory.held(this.#key, window), ...coming].filter(
      ({ start, end }) => end <= hole.start || hole.start < start,
    );
    return {
      start: Math.max(window.start, ...others.filter(({ end }) => end <= hole.start).map(({ end }) => end)),
      end: Math.min(window.end, ...others.filter(({ start }) => start > hole.start).map(({ start }) => start)),
    };
  }

  #comesSoon(flight: SharedFetch, at: number, refetch: boolean): boolean {
    const { start, end } = flight.ahead;
    const inTime = start <= at && at < end && at - start <= this.parts.memory.fetchBytes;
    return inTime && flight.isOpen && (flight.refetch || !refetch);
  }

  #startsWhole(flight: SharedFetch, refetch: boolean): boolean {
    return this.#isWhole(flight.ahead) && flight.isOpen && (flight.refetch || !refetch);
  }

  #isWhole({ start, end }: ByteRange): boolean {
    return start === 0 && end === this.#whole.end;
  }

  #start(range: ByteRange, refetch: boolean): SharedFetch {
    const { engine, file, memory, signal } = this.parts;
    if (refetch) this.#forget();
    const whole = this.#isWhole(range);
    const small = range.end - range.start <= memory.fetchBytes;
    const fetched = memory.begin();
    const flight: SharedFetch = new SharedFetch({
      range,
      refetch,
      untilEnd: whole && small,
      anyOrder: !small,
      bring: async (stop, take, held) => {
        const both = AbortSignal.any([signal, stop]);
        const options = {
          signal: both,
          policy: refetch ? ('refetch' as const) : ('any' as const),
          sections: this.#sections,
          wholeChunks: small && !whole,
          lent: true,
        };
        if (!small) return bringRange(engine, file, range, options, take, held);
        for await (const content of readRange(engine, file, range, options)) take(content);
      },
      keep: small ? ({ at, bytes }) => memory.put(this.#key, at, bytes, fetched) : undefined,
      onEnd: (error) => {
        this.#flights = this.#flights.filter((one) => one !== flight);
        if (error === undefined) fetched.verified = whole;
        // What was known may be what was wrong.
        else if (isXetError(error, 'INTEGRITY')) this.#forget();
        else if (isXetError(error) && error.code !== 'CLOSED') this.#sections.clear();
      },
    });
    this.#flights.push(flight);
    return flight;
  }

  #forget(): void {
    this.#sections.clear();
    this.parts.memory.drop(this.#key);
  }
}
