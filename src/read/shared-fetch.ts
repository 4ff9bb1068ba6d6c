import type { FileSpan } from '../core/content.ts';
import { NO_LONGER_WANTED, XetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';

export interface SharedFetchParts {
  /** The bytes to come; what comes may begin before them and end behind them. */
  range: ByteRange;
  /** True if an earlier attempt delivered corrupt data, so that this one bypasses all caches. */
  refetch: boolean;
  /** True if bytes are delivered only at the end, when they are known to be correct. */
  untilEnd: boolean;
  /** True if bytes arrive in any order; then it cannot be joined once it has begun. */
  anyOrder: boolean;
  /** Fetches the range, each byte once. `take` copies what it is given; of a whole file `held` gives what has come. */
  bring: (
    signal: AbortSignal,
    take: (content: FileSpan) => void,
    held: (part: ByteRange) => Uint8Array,
  ) => Promise<void>;
  /** Copies what comes, for later; undefined where it would be too much. */
  keep: ((content: FileSpan) => void) | undefined;
  /** Called once when it has ended, before any waiter. */
  onEnd: (error?: unknown) => void;
}

/** Somebody who waits for a part of a flight. */
export interface Waiter {
  /** Resolves when the part has been handed over. */
  readonly done: Promise<void>;
  /** Stops waiting. The flight ends when nobody is left. */
  leave(reason: unknown): void;
}

interface Waiting extends ByteRange {
  into: Uint8Array;
  /** Offset in the file of the first byte of `into`. */
  origin: number;
  /** Bytes that have not come. */
  left: number;
  untilEnd: boolean;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

/**
 * Time in milliseconds for which a read-ahead continues without a waiter: the reader will probably return, but it must
 * not keep a process alive.
 */
const ALONE_MS = 2000;

/** One fetch of a range for all who want something of it. Begins when it is made. */
export class SharedFetch {
  readonly range: ByteRange;
  readonly refetch: boolean;
  readonly #parts: SharedFetchParts;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<Waiting>();
  /** Start of the part that can still be joined. */
  #at: number;
  /** Bytes that have not come. */
  #left: number;
  #ended = false;
  #alone: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: SharedFetchParts) {
    this.#parts = parts;
    this.range = parts.range;
    this.refetch = parts.refetch;
    this.#at = parts.range.start;
    this.#left = parts.range.end - parts.range.start;
    void this.#run();
  }

  /** True if it can still be joined. */
  get isOpen(): boolean {
    return !this.#ended && !this.#stop.signal.aborted;
  }

  /** Remaining range that can be joined. */
  get ahead(): ByteRange {
    return { start: this.#at, end: this.range.end };
  }

  /**
   * Waits for a part of what is ahead, which is put into `into`; that begins at `origin` of the file.
   *
   * @param untilEnd whether to wait until the flight has ended well.
   */
  join(part: ByteRange, into: Uint8Array, origin: number, untilEnd = false): Waiter {
    clearTimeout(this.#alone);
    let waiting: Waiting | undefined;
    const done = new Promise<void>((resolve, reject) => {
      const { start, end } = part;
      const until = untilEnd || this.#parts.untilEnd;
      waiting = { start, end, left: end - start, into, origin, untilEnd: until, resolve, reject };
      this.#waiting.add(waiting);
    });
    return {
      done,
      leave: (reason) => {
        if (!waiting || !this.#waiting.delete(waiting)) return;
        waiting.reject(reason);
        if (this.#waiting.size === 0) this.#stop.abort(reason);
      },
    };
  }

  async #run(): Promise<void> {
    try {
      // Whoever makes a flight joins it first.
      await undefined;
      await this.#parts.bring(
        this.#stop.signal,
        (content) => this.#take(content),
        (part) => this.#held(part),
      );
      if (this.#left > 0) throw new XetError('PROTOCOL', `The data ends with ${this.#left} bytes missing.`);
      this.#end();
      for (const { resolve } of this.#drain()) resolve();
    } catch (error) {
      this.#end(error);
      for (const { reject } of this.#drain()) reject(error);
    }
  }

  #end(error?: unknown): void {
    clearTimeout(this.#alone);
    this.#ended = true;
    this.#parts.onEnd(error);
  }

  #drain(): Waiting[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    return waiting;
  }

  #take(content: FileSpan): void {
    const came = { start: content.at, end: content.at + content.bytes.length };
    this.#at = this.#parts.anyOrder ? this.range.end : Math.max(this.#at, came.end);
    this.#left -= sharedBytes(this.range, came);
    this.#parts.keep?.(content);
    for (const one of this.#waiting) {
      const bytes = sharedBytes(one, came);
      if (bytes > 0) {
        const from = Math.max(one.start, content.at);
        one.into.set(content.bytes.subarray(from - content.at, from - content.at + bytes), from - one.origin);
        one.left -= bytes;
      }
      if (one.left > 0 || one.untilEnd) continue;
      this.#waiting.delete(one);
      one.resolve();
    }
    if (this.#waiting.size === 0 && this.#left > 0) this.#leftAlone();
  }

  /** A part that has come of a whole file, all of which everybody waits for. */
  #held({ start, end }: ByteRange): Uint8Array {
    const [one] = this.#waiting;
    if (!one) throw NO_LONGER_WANTED;
    return one.into.subarray(start - one.origin, end - one.origin);
  }

  #leftAlone(): void {
    clearTimeout(this.#alone);
    const stop = () => this.#stop.abort(new XetError('CLOSED', 'Nobody came back for what was read ahead.'));
    if (!this.#parts.keep) {
      stop();
      return;
    }
    this.#alone = setTimeout(stop, ALONE_MS);
    // Where that is a thing, the timer keeps no process alive either.
    (this.#alone as { unref?: () => void }).unref?.();
  }
}

function sharedBytes(a: ByteRange, b: ByteRange): number {
  return Math.max(0, Math.min(a.end, b.end) - Math.max(a.start, b.start));
}
