/** Reusable buffers for runs of frames or chunks. A new buffer for each run would double the memory traffic. */
export class RunBuffers {
  readonly #bytes: number;
  readonly #maxSpare: number;
  readonly #spare: ArrayBuffer[] = [];

  /**
   * @param bytes length of every buffer.
   * @param maxSpare number of unused buffers to keep.
   */
  constructor(bytes: number, maxSpare = MAX_SPARE) {
    this.#bytes = bytes;
    this.#maxSpare = maxSpare;
  }

  /** A view of this length into a buffer, with arbitrary contents. */
  take(length: number): Uint8Array {
    if (length > this.#bytes) return new Uint8Array(length);
    return new Uint8Array(this.#spare.pop() ?? new ArrayBuffer(this.#bytes), 0, length);
  }

  /** Like {@link take}, but with memory of its own if most of a buffer would be empty. */
  fitting(length: number): Uint8Array {
    return this.memoryFor(length) === this.#bytes ? this.take(length) : new Uint8Array(length);
  }

  /** Size of the memory behind a view that {@link fitting} returns, in bytes. */
  memoryFor(length: number): number {
    return this.#bytes <= 2 * length && length <= this.#bytes ? this.#bytes : length;
  }

  /** Returns a buffer that is no longer used. Buffers of another length, also transferred ones, are ignored. */
  give(buffer: ArrayBufferLike): void {
    const usable = buffer instanceof ArrayBuffer && buffer.byteLength === this.#bytes;
    if (usable && this.#spare.length < this.#maxSpare) this.#spare.push(buffer);
  }
}

/** About as many as are returned together. Spare buffers are not counted in the memory budget. */
const MAX_SPARE = 8;
