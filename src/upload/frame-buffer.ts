/** Frames of a xorb that is being filled, back to back. */
export class FrameBuffer {
  readonly #mostBytes: number;
  #bytes: Uint8Array = new Uint8Array();
  #used = 0;

  /** @param mostBytes what a whole xorb may take. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  get length(): number {
    return this.#used;
  }

  push(frames: Uint8Array): void {
    const needed = this.#used + frames.length;
    if (needed > this.#bytes.length) {
      // A xorb is either small or becomes a full one: growing by and by would copy it again and again. What is not
      // written to yet is no memory that anything stands behind.
      const larger = new Uint8Array(needed <= SMALL_BYTES ? SMALL_BYTES : Math.max(needed, this.#mostBytes));
      larger.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = larger;
    }
    this.#bytes.set(frames, this.#used);
    this.#used = needed;
  }

  /** All of it, in a buffer of its own size if that costs little; the buffer is empty afterwards. */
  take(): Uint8Array {
    const all = this.#bytes.subarray(0, this.#used);
    this.#bytes = new Uint8Array();
    this.#used = 0;
    return all;
  }
}

const SMALL_BYTES = 1024 * 1024;
