import { MAX_CHUNK_BYTES } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import type { RunBuffers } from './buffers.ts';

/** Bytes before each compressed chunk: version, compressed length, scheme, uncompressed length. */
export const FRAME_HEADER_BYTES = 8;
const MAX_COMPRESSED_BYTES = 256 * 1024;
/** A stored xorb may go on with a footer, which begins like this where a frame would. */
const FOOTER_IDENT = [0x58, 0x45, 0x54, 0x42, 0x4c, 0x4f, 0x42];

/** A run of whole frames, cut from a stream. */
export interface FrameRun {
  /** Chunk index of the first frame, counted as the cutter was told. */
  firstChunk: number;
  count: number;
  /** Offset of the first frame in the stream, in bytes. */
  start: number;
  /** The frames themselves; the receiver owns them. */
  frames: Uint8Array;
  /** What they announce to unpack to, in bytes: at most 128 KiB each. */
  unpackedLength: number;
}

/** What a cutter needs to collect runs of so many bytes: one run, and a frame that goes past its end. */
export function runBufferBytes(runBytes: number): number {
  return runBytes + MAX_COMPRESSED_BYTES + FRAME_HEADER_BYTES;
}

export interface CutterOptions {
  firstChunk: number;
  /** Offset of the stream's first byte, for {@link FrameRun.start}. */
  start: number;
  /** Bytes of the stream; more of them are an error. */
  length: number;
  /** Where buffers come from; a receiver of runs may give them back there. */
  buffers?: RunBuffers;
  /** A run is passed on when it holds this many bytes, compressed or unpacked. */
  runBytes: number;
  /** The first run is only this long, and each next one twice as long as the one before, up to `runBytes`. */
  firstRunBytes?: number;
}

/**
 * Cuts a byte stream at frame borders, without decoding. Holds at most one run and one frame; headers are
 * checked before their lengths are believed.
 */
export class FrameCutter {
  readonly #mostRunBytes: number;
  #runBytes: number;
  readonly #end: number;
  readonly #buffers: RunBuffers | undefined;
  #buffer: Uint8Array;
  /** Bytes in the buffer. */
  #filled = 0;
  /** Bytes of whole frames at the front of the buffer. */
  #whole = 0;
  #count = 0;
  #unpacked = 0;
  #firstChunk: number;
  #start: number;
  #footer = false;

  constructor(options: CutterOptions) {
    this.#mostRunBytes = options.runBytes;
    this.#runBytes = options.firstRunBytes ?? options.runBytes;
    this.#firstChunk = options.firstChunk;
    this.#start = options.start;
    this.#end = options.start + options.length;
    this.#buffers = options.buffers;
    this.#buffer = this.#fresh();
  }

  #fresh(): Uint8Array {
    const left = this.#end - this.nextStart;
    const length = Math.min(runBufferBytes(this.#mostRunBytes), left);
    return this.#buffers?.fitting(length) ?? new Uint8Array(length);
  }

  /** Chunk index of the next frame that is not yet whole. */
  get nextChunk(): number {
    return this.#firstChunk + this.#count;
  }

  /** Offset of the next frame that is not yet whole: where to go on after a break. */
  get nextStart(): number {
    return this.#start + this.#whole;
  }

  /** Offset of the first byte that has not been pushed. */
  get received(): number {
    return this.#start + this.#filled;
  }

  /** Forgets the frame that is not whole yet; its bytes are expected again. */
  dropPartial(): void {
    this.#filled = this.#whole;
  }

  /** Whether the stream has reached a footer; what follows is not looked at. */
  get atFooter(): boolean {
    return this.#footer;
  }

  /** Takes the next bytes and gives the runs that they complete. */
  *push(bytes: Uint8Array): Generator<FrameRun, void, undefined> {
    let rest = bytes;
    while (rest.length > 0 && !this.#footer) {
      const taken = Math.min(rest.length, this.#buffer.length - this.#filled);
      if (taken === 0) throw malformed(`it is longer than the ${this.#end} bytes that were announced`);
      this.#buffer.set(rest.subarray(0, taken), this.#filled);
      this.#filled += taken;
      rest = rest.subarray(taken);
      yield* this.#advance();
    }
  }

  /** The last run; a frame that is not whole throws `PROTOCOL`. */
  *finish(): Generator<FrameRun, void, undefined> {
    yield* this.takeWhole();
    if (this.#filled > 0 && !this.#footer) {
      throw malformed(`the data ends ${this.#filled} bytes into the frame of chunk ${this.nextChunk}`);
    }
  }

  /** What is whole so far, as a run of its own. */
  *takeWhole(): Generator<FrameRun, void, undefined> {
    if (this.#count > 0) yield this.#cut();
  }

  *#advance(): Generator<FrameRun, void, undefined> {
    for (;;) {
      const at = this.#whole;
      const left = this.#filled - at;
      if (left < FRAME_HEADER_BYTES) return;
      if (FOOTER_IDENT.every((byte, index) => this.#buffer[at + index] === byte)) {
        this.#footer = true;
        return;
      }
      const { compressed, unpacked } = this.#header(at);
      const frame = FRAME_HEADER_BYTES + compressed;
      if (left < frame) return;
      this.#whole += frame;
      this.#count++;
      this.#unpacked += unpacked;
      if (this.#whole >= this.#runBytes || this.#unpacked >= this.#runBytes) yield this.#cut();
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
      frames: this.#buffer.subarray(0, this.#whole),
      unpackedLength: this.#unpacked,
    };
    // The run keeps its buffer, so that it can be transferred; the begun frame moves to a new one.
    const begun = this.#buffer.subarray(this.#whole, this.#filled);
    this.#buffer = this.#fresh();
    this.#buffer.set(begun);
    this.#filled = begun.length;
    this.#firstChunk += this.#count;
    this.#start += this.#whole;
    this.#whole = 0;
    this.#count = 0;
    this.#unpacked = 0;
    this.#runBytes = Math.min(this.#mostRunBytes, this.#runBytes * 2);
    return run;
  }
}

function malformed(what: string): XetError {
  return new XetError('PROTOCOL', `The xorb data is malformed: ${what}.`, { retryable: true });
}
