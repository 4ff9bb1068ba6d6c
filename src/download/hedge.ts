import { NO_LONGER_WANTED } from '../core/errors.ts';

/** Usual speed of data requests, to tell a slow request from a slow network. */
export class ThroughputAverage {
  #bytesPerMs: number | undefined;

  /** Takes note of a request: its bytes, and how long they were waited for, without pauses of the reader. */
  record(bytes: number, waitedMs: number): void {
    if (bytes < SAMPLE_BYTES) return;
    const rate = bytes / Math.max(waitedMs, 1);
    this.#bytesPerMs = this.#bytesPerMs === undefined ? rate : this.#bytesPerMs * 0.8 + rate * 0.2;
  }

  /** True if a request is far behind the others, by its bytes and its time. */
  isSlow(bytes: number, waitedMs: number): boolean {
    return (
      waitedMs >= PATIENCE_MS && this.#bytesPerMs !== undefined && bytes / waitedMs < this.#bytesPerMs / FAR_BEHIND
    );
  }
}

const SAMPLE_BYTES = 64 * 1024;
const PATIENCE_MS = 2_000;
const FAR_BEHIND = 8;
const CHECK_MS = 250;

export interface HedgeOptions {
  /** Opens the stream at an offset. */
  open: (from: number, signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>;
  from: number;
  signal: AbortSignal;
  pace: ThroughputAverage;
  /** True if a reader waits for these bytes now. */
  needed: () => boolean;
}

/**
 * A stream that is opened a second time when it falls far behind what other requests give: as soon as the
 * second one has a byte it goes on alone. No byte is given twice; each piece is of use until the next is asked for.
 */
export async function* hedged(options: HedgeOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const { pace, needed } = options;
  let position = options.from;
  let stream = new Stream(options, position);
  let spare: Stream | undefined;
  let mayHedge = true;
  let bytes = 0;
  let waitedMs = 0;
  const ticks = new Ticks();
  try {
    for (;;) {
      const asked = performance.now();
      const ready = await firstReady(stream, spare, ticks);
      waitedMs += performance.now() - asked;
      if (mayHedge && needed() && pace.isSlow(bytes, waitedMs)) {
        mayHedge = false;
        spare = new Stream(options, position);
      }
      if (ready === undefined) continue;
      if (ready === spare) {
        stream.close();
        stream = spare;
        spare = undefined;
      }
      const run = await ready.take();
      if (run === undefined) return;
      bytes += run.length;
      const known = position - (ready.position - run.length);
      if (known >= run.length) continue;
      position = ready.position;
      yield known > 0 ? run.subarray(known) : run;
    }
  } finally {
    ticks.stop();
    pace.record(bytes, waitedMs);
    stream.close();
    spare?.close();
  }
}

/** The stream that has something to say, or undefined when none has for a while. */
function firstReady(stream: Stream, spare: Stream | undefined, ticks: Ticks): Promise<Stream | undefined> {
  return new Promise((resolve) => {
    void stream.ready.then(resolve);
    void spare?.ready.then(resolve);
    ticks.next(() => resolve(undefined));
  });
}

/** A clock for all waits of a stream: a timer for each would cost more than what most of them wait for. */
class Ticks {
  #told: (() => void) | undefined;
  readonly #timer = setInterval(() => this.#told?.(), CHECK_MS);

  /** At the next tick. */
  next(told: () => void): void {
    this.#told = told;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** An open stream, read while somebody waits for it. */
class Stream {
  readonly #bytes: AsyncGenerator<Uint8Array, void, undefined>;
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onOuterAbort = () => this.#abort.abort(this.#outer.reason);
  /** The read that is under way, or has ended and was not taken. */
  #next: Promise<IteratorResult<Uint8Array, void>> | undefined;
  /** Offset of the first byte that was not taken. */
  position: number;

  constructor({ open, signal }: HedgeOptions, from: number) {
    this.position = from;
    this.#outer = signal;
    signal.addEventListener('abort', this.#onOuterAbort, { once: true });
    this.#bytes = open(from, this.#abort.signal);
  }

  /** Resolves to itself when the read has ended, well or badly. */
  get ready(): Promise<Stream> {
    return this.#read().then(
      () => this,
      () => this,
    );
  }

  /** The bytes read; undefined at the end. */
  async take(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.#read();
    this.#next = undefined;
    if (done) return undefined;
    this.position += value.length;
    return value;
  }

  #read(): Promise<IteratorResult<Uint8Array, void>> {
    if (!this.#next) {
      this.#next = this.#bytes.next();
      // A stream that is closed early leaves its read behind.
      this.#next.catch(() => undefined);
    }
    return this.#next;
  }

  close(): void {
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
    if (!this.#abort.signal.aborted) this.#abort.abort(NO_LONGER_WANTED);
  }
}
