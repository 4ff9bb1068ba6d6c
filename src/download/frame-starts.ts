import type { FetchRange } from '../cas/reconstruction.ts';

/** A chunk and the offset of its frame in the xorb. */
interface FrameStart {
  chunk: number;
  byte: number;
}

/**
 * Known offsets of chunks in the ranges of a read. A range that is needed again for chunks in its middle can start
 * there. If the offsets came from corrupt data, the next attempt starts without them.
 */
export class FrameStarts {
  readonly #known = new WeakMap<FetchRange, FrameStart[]>();

  note(range: FetchRange, chunk: number, byte: number): void {
    const starts = this.#known.get(range) ?? [];
    this.#known.set(range, starts);
    if (chunk > (starts.at(-1)?.chunk ?? range.chunks.start)) starts.push({ chunk, byte });
  }

  /** The last one that is known before a chunk, or the start of the range. */
  before(range: FetchRange, chunk: number): FrameStart {
    const known = this.#known.get(range)?.findLast((start) => start.chunk <= chunk);
    return known ?? { chunk: range.chunks.start, byte: range.bytes.start };
  }
}
