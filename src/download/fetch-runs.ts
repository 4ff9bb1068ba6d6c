import type { FetchRange } from '../cas/reconstruction.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { Lanes } from '../core/lanes.ts';
import type { ChunkRange } from '../core/ranges.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import { FrameCutter, type FrameRun } from '../xorb/frames.ts';
import type { FrameStarts } from './frame-starts.ts';
import { hedged, type ThroughputAverage } from './hedge.ts';
import { openRange, type RangeSource } from './open-range.ts';

export interface RunSource extends RangeSource {
  xorb: string;
  /** Ascending. */
  ranges: readonly FetchRange[];
  /** Chunks that somebody wants; what comes after the last of them is left. */
  wanted: readonly ChunkRange[];
  starts: FrameStarts;
  /** Asks for all ranges at once, as far as the server does that. */
  together?: FetchTogether | undefined;
  signal: AbortSignal;
  lanes: Lanes;
  pace: ThroughputAverage;
  buffers: RunBuffers;
  /** Attempts in a row without a single new frame before it gives up. */
  attempts: number;
  /** True if a reader waits for these bytes now. */
  needed: () => boolean;
  onNetworkBytes: (bytes: number) => void;
}

/** Fetches runs of several ranges of one xorb with one request; missing ranges are left to separate requests. */
export type FetchTogether = (source: RunSource, parts: RangePart[]) => AsyncGenerator<FrameRun, void, undefined>;

/** A connection is given up for no less: what is read to its end can be used again. */
const WORTH_STOPPING_BYTES = 256 * 1024;

/** The first bytes of a range are handed on early: somebody may wait for them, or the process may not live long. */
const FIRST_RUN_BYTES = 128 * 1024;

/** Runs are about this long: enough to make a message worth its while, little enough to stay in a cache. */
export const RUN_BYTES = 512 * 1024;

/**
 * Frames of some ranges of a xorb, in runs, as they arrive. A broken connection resumes at the last complete frame; frames
 * that do not decode are fetched once more past all caches, then they are corrupt.
 */
export async function* fetchRuns(source: RunSource): AsyncGenerator<FrameRun, void, undefined> {
  const { http, signal, attempts, lanes, pace, needed } = source;
  const parts = source.ranges.map((range) => new RangePart(source, range));
  if (parts.length > 1 && source.together) yield* source.together(source, parts);
  for (const part of parts) {
    let { fresh } = source;
    const open = (from: number, one: AbortSignal) =>
      openRange({ ...source, fresh }, source.xorb, part.range, from, one);
    const tries = http.tries({ kind: 'xorb', attempts, signal });
    while (!part.complete) {
      const before = part.cutter.nextStart;
      let stopped = false;
      try {
        for await (const piece of hedged({ open, from: before, signal, pace, needed })) {
          source.onNetworkBytes(piece.length);
          lanes.received(piece.length);
          yield* part.push(piece);
          stopped = part.isEnough && part.left > WORTH_STOPPING_BYTES;
          if (stopped) break;
        }
        // An answer that ended early counts as a failed attempt, also if it brought nothing at all.
        if (!stopped) yield* part.finish();
      } catch (error) {
        if (signal.aborted || !isXetError(error) || !error.retryable) throw error;
        yield* part.keepWhole();
        if (part.cutter.nextStart > before) tries.progressed();
        if (error === part.malformed) {
          if (fresh) throw corrupt(source.xorb, error);
          fresh = true;
        }
        if (isXetError(error, 'RATE_LIMITED', 'SERVER', 'TIMEOUT')) lanes.backOff();
        await tries.failed(error);
      }
    }
    yield* part.cutter.takeComplete();
    part.check();
  }
}

/** One range and how far it has come. */
export class RangePart {
  readonly range: FetchRange;
  readonly cutter: FrameCutter;
  readonly #xorb: string;
  /** The chunk after the last that is wanted. */
  readonly #until: number;
  /** The error that came from the data itself: only that one is corruption, and not a bad answer. */
  malformed: unknown;

  constructor({ xorb, buffers, wanted, ranges, starts }: RunSource, range: FetchRange) {
    const { chunks, bytes } = range;
    const { first, last } = boundsOf(chunks, wanted);
    this.#until = last;
    // Of several ranges that are asked for together each comes from its start.
    const from = starts.before(range, ranges.length > 1 ? chunks.start : first);
    this.#xorb = xorb;
    this.range = range;
    this.cutter = new FrameCutter({
      firstChunk: from.chunk,
      start: from.byte,
      length: bytes.end - from.byte,
      runBytes: RUN_BYTES,
      firstRunBytes: FIRST_RUN_BYTES,
      buffers,
    });
  }

  /** True if all bytes were received. */
  get received(): boolean {
    return this.cutter.received === this.range.bytes.end;
  }

  /** True if all chunks are there that somebody wants. */
  get isEnough(): boolean {
    return this.cutter.nextChunk >= this.#until;
  }

  /** Bytes of the range that have not come. */
  get left(): number {
    return this.range.bytes.end - this.cutter.received;
  }

  /** True if all frames are there, or all that are wanted. */
  get complete(): boolean {
    const { cutter, range } = this;
    if (this.isEnough && this.#until < range.chunks.end) return true;
    return cutter.nextStart === range.bytes.end || (cutter.atFooter && cutter.nextChunk === range.chunks.end);
  }

  *push(bytes: Uint8Array): Generator<FrameRun, void, undefined> {
    try {
      yield* this.cutter.push(bytes);
    } catch (error) {
      this.malformed = error;
      throw error;
    }
  }

  /** The last run; throws when frames are missing. */
  *finish(): Generator<FrameRun, void, undefined> {
    yield* this.cutter.takeComplete();
    const missing = this.range.bytes.end - this.cutter.received;
    if (missing > 0) throw cutShort(missing, this.#xorb);
    if (this.complete) return;
    this.malformed = new XetError('PROTOCOL', `A range of xorb ${this.#xorb} does not end where a frame ends.`, {
      retryable: true,
    });
    throw this.malformed;
  }

  /** After a break: hands out the frames that are whole, forgets the one that is not. */
  *keepWhole(): Generator<FrameRun, void, undefined> {
    this.cutter.dropPartial();
    yield* this.cutter.takeComplete();
  }

  check(): void {
    const { start, end } = this.range.chunks;
    if (this.cutter.nextChunk === end || (this.isEnough && this.cutter.nextChunk < end)) return;
    throw new XetError(
      'PROTOCOL',
      `Xorb ${this.#xorb} has ${this.cutter.nextChunk - start} chunks where ${end - start} were announced.`,
    );
  }
}

export function cutShort(missing: number, xorb: string): XetError {
  return new XetError('NETWORK', `The connection ended ${missing} bytes before the end of a range of xorb ${xorb}.`, {
    retryable: true,
  });
}

export function corrupt(xorb: string, cause: XetError): XetError {
  return new XetError('INTEGRITY', `Xorb ${xorb} is corrupt, also when fetched again: ${cause.message}`, { cause });
}

/** From where to where in a range there are chunks that are wanted. */
function boundsOf(range: ChunkRange, wanted: readonly ChunkRange[]): { first: number; last: number } {
  let first = range.end;
  let last = range.start;
  for (const { start, end } of wanted) {
    if (start >= range.end || range.start >= end) continue;
    first = Math.min(first, start);
    last = Math.max(last, end);
  }
  return { first: Math.max(first, range.start), last: Math.min(last, range.end) };
}
