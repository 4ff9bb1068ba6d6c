import type { RunBuffers } from '../xorb/buffers.ts';

/**
 * Frames of a xorb that is being filled, in pieces: large runs of them stay where they are, small ones are put together.
 * Nothing as long as a whole xorb is ever in one place.
 */
export class FramePieces {
  readonly #blocks: RunBuffers;
  readonly #blockBytes: number;
  readonly #pieces: Uint8Array[] = [];
  /** Where small runs go, and how much of it they have. */
  #open: Uint8Array = NOTHING;
  #openBytes = 0;

  /** @param blocks gives memory of `blockBytes`, and takes it back. */
  constructor(blocks: RunBuffers, blockBytes: number) {
    this.#blocks = blocks;
    this.#blockBytes = blockBytes;
  }

  /** Adds frames, whose memory is the caller's no more. Gives how much more memory all of them take, in bytes. */
  push(frames: Uint8Array): number {
    if (frames.length > this.#blockBytes / 4) {
      this.#close();
      this.#pieces.push(frames);
      return frames.buffer.byteLength;
    }
    const begins = this.#openBytes + frames.length > this.#open.length;
    if (begins) {
      this.#close();
      this.#open = this.#blocks.take(this.#blockBytes);
    }
    this.#open.set(frames, this.#openBytes);
    this.#openBytes += frames.length;
    this.#blocks.give(frames.buffer);
    return begins ? this.#blockBytes : 0;
  }

  /** All of them; none are left. */
  take(): Uint8Array[] {
    this.#close();
    return this.#pieces.splice(0);
  }

  #close(): void {
    if (this.#openBytes > 0) this.#pieces.push(this.#open.subarray(0, this.#openBytes));
    this.#open = NOTHING;
    this.#openBytes = 0;
  }
}

const NOTHING = new Uint8Array();
