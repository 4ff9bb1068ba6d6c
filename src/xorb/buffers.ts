/**
 * Buffers for runs of frames or of chunks, used again and again: a new one for each run would be a megabyte of garbage
 * a megabyte, in every thread it goes through.
 */
export class RunBuffers {
  readonly #bytes: number;
  readonly #mostSpare: number;
  readonly #spare: ArrayBuffer[] = [];

  /**
   * @param bytes length of every buffer.
   * @param mostSpare how many are kept that nobody uses.
   */
  constructor(bytes: number, mostSpare = MOST_SPARE) {
    this.#bytes = bytes;
    this.#mostSpare = mostSpare;
  }

  /** A buffer of some length, with whatever was in it before. */
  take(length: number): Uint8Array {
    if (length > this.#bytes) return new Uint8Array(length);
    return new Uint8Array(this.#spare.pop() ?? new ArrayBuffer(this.#bytes), 0, length);
  }

  /** The same; of its own where it would leave most of a buffer empty. */
  fitting(length: number): Uint8Array {
    return this.memoryFor(length) === this.#bytes ? this.take(length) : new Uint8Array(length);
  }

  /** Bytes of the memory that {@link fitting} gives. */
  memoryFor(length: number): number {
    return this.#bytes <= 2 * length && length <= this.#bytes ? this.#bytes : length;
  }

  /** Gives a buffer back that nobody looks at any more. One that was moved away is of no use. */
  give(buffer: ArrayBufferLike): void {
    const usable = buffer instanceof ArrayBuffer && buffer.byteLength === this.#bytes;
    if (usable && this.#spare.length < this.#mostSpare) this.#spare.push(buffer);
  }
}

/** As many as come back together where little is waited for. Spare memory is in nobody's budget. */
const MOST_SPARE = 8;
