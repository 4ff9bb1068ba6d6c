import { checked, READ, STREAM, shown } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { FileReads } from './file-reads.ts';

/** Slices up to this length are fetched before their stream begins, in bytes: so they share what other reads have. */
const SMALL_STREAM_BYTES = 1024 * 1024;

/** Source of a file's reads; for modules of this package. */
export let readsOf: (file: XetFile) => { reads: FileReads; range: ByteRange };

/**
 * A file of a repository, or a slice of one, to read from. Nothing is fetched before it is read.
 *
 * Reads share what was fetched for others of the same file: a reader of headers that takes a few bytes at a time costs
 * a few requests, and what was read a moment ago costs none. Files of a `XetReader` do not: each read asks for its own.
 */
export class XetFile {
  readonly #reads: FileReads;
  readonly #range: ByteRange;

  static {
    readsOf = (file) => ({ reads: file.#reads, range: file.#range });
  }

  /** @internal */
  constructor(reads: FileReads, range: ByteRange = { start: 0, end: reads.parts.file.size }) {
    this.#reads = reads;
    this.#range = range;
  }

  /** Bytes of this file or slice. */
  get size(): number {
    return this.#range.end - this.#range.start;
  }

  /** Path in the repository. */
  get path(): string {
    return this.#reads.parts.file.path;
  }

  /** The Hub's name for the content: a sha256, or a git hash for small files. */
  get etag(): string {
    return this.#reads.parts.file.etag;
  }

  /** The commit it is of, 40 hexadecimal digits. */
  get commit(): string {
    return this.#reads.parts.file.commit;
  }

  /** Undefined for files that the Hub keeps in git. */
  get xetHash(): string | undefined {
    return this.#reads.parts.file.xetHash;
  }

  /** A part of it, without fetching anything; negative positions count from the end, as in `Blob.slice`. */
  slice(start = 0, end: number = this.size): XetFile {
    if (typeof start !== 'number' || typeof end !== 'number')
      throw new XetError('INVALID_ARGUMENT', 'slice(start, end) takes two numbers.');
    const first = position(start, this.size);
    const last = Math.max(first, position(end, this.size));
    return new XetFile(this.#reads, { start: this.#range.start + first, end: this.#range.start + last });
  }

  /**
   * The bytes as they come. A whole file's stream ends only after its hash was found right; corrupt data makes
   * it fail with `INTEGRITY`. Cancelling stops the download.
   *
   * @param options.cautious fetches little more than is read, for readers that may leave at any moment, such as
   * players in which somebody seeks. The further such a reader comes, the more is fetched ahead.
   */
  stream(options: { signal?: AbortSignal; cautious?: boolean } = {}): ReadableStream<Uint8Array> {
    const stop = new AbortController();
    const bytes = this.#bytes(options, stop.signal);
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await bytes.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel(reason) {
          stop.abort(reason ?? new XetError('CLOSED', 'The stream was cancelled.'));
          await bytes.return();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** The bytes `start` (included) to `end` (excluded). Throws `INVALID_ARGUMENT` for bounds outside of the file. */
  async read(start: number, end: number, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    if (end === undefined)
      throw new XetError(
        'INVALID_ARGUMENT',
        'read(start, end): end is missing. It is the position behind the last byte.',
      );
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > this.size) {
      throw new XetError(
        'INVALID_ARGUMENT',
        `No range ${shown(start)}–${shown(end)} in ${this.size} bytes of '${this.path}'.`,
      );
    }
    const { start: origin } = this.#range;
    return this.#reads.read({ start: origin + start, end: origin + end }, signalOf('read', options));
  }

  /** All of it in memory. */
  async arrayBuffer(options: { signal?: AbortSignal } = {}): Promise<ArrayBuffer> {
    return (await this.#reads.read(this.#range, signalOf('arrayBuffer', options))).buffer as ArrayBuffer;
  }

  /** All of it as UTF-8 text. */
  async text(options: { signal?: AbortSignal } = {}): Promise<string> {
    return new TextDecoder().decode(await this.#reads.read(this.#range, signalOf('text', options)));
  }

  async *#bytes(
    options: { signal?: AbortSignal; cautious?: boolean },
    stop: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { signal: asked, cautious = false } = checked('stream', options, STREAM);
    const signal = asked ? AbortSignal.any([stop, asked]) : stop;
    if (this.size <= SMALL_STREAM_BYTES) {
      // An empty file is checked as any other; of a slice without bytes there is nothing to give.
      const bytes = await this.#reads.read(this.#range, signal);
      if (bytes.length > 0) yield bytes;
      return;
    }
    for await (const { bytes } of this.#reads.stream(this.#range, signal, cautious)) yield bytes;
  }
}

function signalOf(call: string, options: { signal?: AbortSignal }): AbortSignal | undefined {
  return checked(call, options, READ).signal;
}

function position(value: number, size: number): number {
  const whole = Math.trunc(value) || 0;
  return whole < 0 ? Math.max(size + whole, 0) : Math.min(whole, size);
}
