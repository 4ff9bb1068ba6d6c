import type { FetchRange } from '../cas/reconstruction.ts';

/** A chunk and the offset of its frame in the xorb. */
interface FrameStart {
  chunk: number;
  byte: number;
}

/**
 * Where in the ranges of a read chunks were found to begin. A range that is needed again for chunks in its middle need not
 * come from its start; and if what is remembered was corrupt, the next try remembers nothing.
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
