/** What one xorb may hold. */
export interface XorbLimits {
  /** Bytes of the serialised xorb, if nothing in it could be compressed. */
  maxBytes: number;
  maxChunks: number;
}

/** The protocol's own limits. */
export const XORB_LIMITS: XorbLimits = { maxBytes: 64 * 1024 * 1024, maxChunks: 8192 };

/** What a chunk takes beside its bytes, however it is stored. */
export const FRAME_OVERHEAD_BYTES = 8;

/** Where a new chunk goes: the number of a xorb of this upload, counted from 0, and its chunk index. */
export interface PackedPlace {
  xorb: number;
  index: number;
}

/**
 * Tells which chunks go into which xorb: in order, each xorb as full as it gets. Frame headers count, as chunks that
 * cannot be compressed are stored as they are: 64 MiB of them and their headers would be too large for a server that
 * limits what it is sent.
 */
export class XorbPacker {
  readonly #limits: XorbLimits;
  #xorb = 0;
  #chunks = 0;
  #bytes = 0;

  constructor(limits: XorbLimits = XORB_LIMITS) {
    this.#limits = limits;
  }

  /** The place of the next chunk, of so many bytes. A higher xorb number than before means that the one before is full. */
  next(length: number): PackedPlace {
    const bytes = length + FRAME_OVERHEAD_BYTES;
    const { maxBytes, maxChunks } = this.#limits;
    // A chunk that is larger than a whole xorb gets one of its own; real chunks are a 500th of it.
    if (this.#chunks > 0 && (this.#chunks === maxChunks || this.#bytes + bytes > maxBytes)) {
      this.#xorb++;
      this.#chunks = 0;
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    return { xorb: this.#xorb, index: this.#chunks++ };
  }
}
