import type { FetchRange } from '../cas/reconstruction.ts';
import { XetError } from '../core/errors.ts';
import type { ChunkRange } from '../core/ranges.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import { FrameCutter, type FrameRun } from '../xorb/frames.ts';
import type { FrameStarts } from './frame-starts.ts';

/** The first bytes of a range are handed on early: somebody may wait for them, or the process may not live long. */
const FIRST_RUN_BYTES = 128 * 1024;

/** Runs are about this long: enough to make a message worth its while, little enough to stay in a cache. */
export const RUN_BYTES = 512 * 1024;

interface PartContext {
  starts: Pick<FrameStarts, 'before'>;
  transport: { buffers: RunBuffers };
}

/** The job that a range is part of. */
interface PartOf {
  xorb: string;
  ranges: readonly FetchRange[];
  wanted: readonly ChunkRange[];
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

  constructor({ starts, transport }: PartContext, { xorb, wanted, ranges }: PartOf, range: FetchRange) {
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
      buffers: transport.buffers,
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
