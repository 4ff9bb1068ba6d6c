import { MAX_CHUNK_BYTES } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import type { RunBuffers } from './buffers.ts';

/** Size of a frame header: version, compressed length, scheme, uncompressed length (Xet protocol: xorb format). */
export const FRAME_HEADER_BYTES = 8;
const MAX_COMPRESSED_BYTES = 256 * 1024;
/** First bytes of a stored xorb's footer, at the place of a frame header. */
const FOOTER_IDENT = [0x58, 0x45, 0x54, 0x42, 0x4c, 0x4f, 0x42];

/** A run of complete frames, cut from a stream. */
export interface FrameRun {
  /** Chunk index of the first frame. */
  firstChunk: number;
  count: number;
  /** Offset of the first frame in the stream, in bytes. */
  start: number;
  /** The frames; the receiver owns the memory. */
  frames: Uint8Array;
  /** Uncompressed bytes according to the headers: at most 128 KiB per frame. */
  unpackedLength: number;
}

/** Size of a buffer for runs of this many bytes: a run, and a frame that crosses its end. */
export function runBufferBytes(runBytes: number): number {
  return runBytes + MAX_COMPRESSED_BYTES + FRAME_HEADER_BYTES;
}

export interface CutterOptions {
  firstChunk: number;
  /** Offset of the stream's first byte, for {@link FrameRun.start}. */
  start: number;
  /** Bytes of the stream; more are an error. */
  length: number;
  /** Source of buffers; a receiver of runs may return them to it. */
  buffers?: RunBuffers;
  /** A run ends when it has this many bytes, compressed or uncompressed. */
  runBytes: number;
  /** Size of the first run; each next one is twice as long, up to `runBytes`. */
  firstRunBytes?: number;
}

/** Cuts a byte stream at frame boundaries, without decoding. Holds at most one run and one frame, and validates headers before using their lengths. */
export class FrameCutter {
  readonly #maxRunBytes: number;
  #runBytes: number;
  readonly #end: number;
  readonly #buffers: RunBuffers | undefined;
  #buffer: Uint8Array;
  /** Bytes in the buffer. */
  #filled = 0;
  /** Bytes of complete frames at the front of the buffer. */
  #complete = 0;
  #count = 0;
  #unpacked = 0;
  #firstChunk: number;
  #start: number;
  #footer = false;

  constructor(options: CutterOptions) {
    this.#maxRunBytes = options.runBytes;
    this.#runBytes = options.firstRunBytes ?? options.runBytes;
    this.#firstChunk = options.firstChunk;
    this.#start = options.start;
    this.#end = options.start + options.length;
    this.#buffers = options.buffers;
    this.#buffer = this.#fresh();
  }

  #fresh(): Uint8Array {
    const left = this.#end - this.nextStart;
    const length = Math.min(runBufferBytes(this.#maxRunBytes), left);
    return this.#buffers?.fitting(length) ?? new Uint8Array(length);
  }

  /** Chunk index of the first incomplete frame. */
  get nextChunk(): number {
    return this.#firstChunk + this.#count;
  }

  /** Offset of the first incomplete frame: the place to resume after a broken connection. */
  get nextStart(): number {
    return this.#start + this.#complete;
  }

  /** Offset of the first byte that has not been pushed. */
  get received(): number {
    return this.#start + this.#filled;
  }

  /** Drops the incomplete frame; its bytes are expected again. */
  dropPartial(): void {
    this.#filled = this.#complete;
  }

  /** True once the stream has reached a footer. The rest is ignored. */
  get atFooter(): boolean {
    return this.#footer;
  }

  /** Takes the next bytes and yields the runs that they complete. */
  *push(bytes: Uint8Array): Generator<FrameRun, void, undefined> {
    let rest = bytes;
    while (rest.length > 0 && !this.#footer) {
      const taken = Math.min(rest.length, this.#buffer.length - this.#filled);
      if (taken === 0) throw malformed(`it is longer than the announced ${this.#end} bytes`);
      this.#buffer.set(rest.subarray(0, taken), this.#filled);
      this.#filled += taken;
      rest = rest.subarray(taken);
      yield* this.#advance();
    }
  }

  /**
   * Yields the last run.
   * @throws {XetError} `PROTOCOL` if a frame is incomplete
   */
  *finish(): Generator<FrameRun, void, undefined> {
    yield* this.takeComplete();
    if (this.#filled > 0 && !this.#footer) {
      throw malformed(`the data ends ${this.#filled} bytes into the frame of chunk ${this.nextChunk}`);
    }
  }

  /** Yields the complete frames so far as a run. */
  *takeComplete(): Generator<FrameRun, void, undefined> {
    if (this.#count > 0) yield this.#cut();
  }

  *#advance(): Generator<FrameRun, void, undefined> {
    for (;;) {
      const at = this.#complete;
      const left = this.#filled - at;
      if (left < FRAME_HEADER_BYTES) return;
      if (FOOTER_IDENT.every((byte, index) => this.#buffer[at + index] === byte)) {
        this.#footer = true;
        return;
      }
      const { compressed, unpacked } = this.#header(at);
      const frame = FRAME_HEADER_BYTES + compressed;
      if (left < frame) return;
      this.#complete += frame;
      this.#count++;
      this.#unpacked += unpacked;
      if (this.#complete >= this.#runBytes || this.#unpacked >= this.#runBytes) yield this.#cut();
    }
  }

  #header(at: number): { compressed: number; unpacked: number } {
    const buffer = this.#buffer;
    const number24 = (offset: number) =>
      (buffer[at + offset] ?? 0) | ((buffer[at + offset + 1] ?? 0) << 8) | ((buffer[at + offset + 2] ?? 0) << 16);
    const compressed = number24(1);
    const unpacked = number24(5);
    const where = `the frame header of chunk ${this.nextChunk}`;
    if (buffer[at] !== 0) throw malformed(`${where} has version ${buffer[at]}`);
    if (compressed > MAX_COMPRESSED_BYTES) throw malformed(`${where} announces ${compressed} compressed bytes`);
    if (unpacked > MAX_CHUNK_BYTES) throw malformed(`${where} announces ${unpacked} bytes`);
    return { compressed, unpacked };
  }

  #cut(): FrameRun {
    const run: FrameRun = {
      firstChunk: this.#firstChunk,
      count: this.#count,
      start: this.#start,
      frames: this.#buffer.subarray(0, this.#complete),
      unpackedLength: this.#unpacked,
    };
    // The run keeps its buffer, so that it can be transferred. The incomplete frame moves to a new one.
    const begun = this.#buffer.subarray(this.#complete, this.#filled);
    this.#buffer = this.#fresh();
    this.#buffer.set(begun);
    this.#filled = begun.length;
    this.#firstChunk += this.#count;
    this.#start += this.#complete;
    this.#complete = 0;
    this.#count = 0;
    this.#unpacked = 0;
    this.#runBytes = Math.min(this.#maxRunBytes, this.#runBytes * 2);
    return run;
  }
}

function malformed(what: string): XetError {
  return new XetError('PROTOCOL', `The xorb data is malformed: ${what}.`, { retryable: true });
}
