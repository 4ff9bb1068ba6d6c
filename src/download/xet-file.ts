import { isXetError, XetError } from '../errors.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { ByteRange } from '../ranges.ts';
import type { Content } from './assemble.ts';
import type { DownloadEngine } from './engine.ts';

/** A file of a repository, or a slice of one, to read from. Nothing is fetched before it is read. */
export class XetFile {
  readonly #engine: DownloadEngine;
  readonly #file: ResolvedFile;
  readonly #signal: AbortSignal;
  readonly #range: ByteRange;

  constructor(
    engine: DownloadEngine,
    file: ResolvedFile,
    signal: AbortSignal,
    range: ByteRange = { start: 0, end: file.size },
  ) {
    this.#engine = engine;
    this.#file = file;
    this.#signal = signal;
    this.#range = range;
  }

  /** Bytes of this file or slice. */
  get size(): number {
    return this.#range.end - this.#range.start;
  }

  get path(): string {
    return this.#file.path;
  }

  get etag(): string {
    return this.#file.etag;
  }

  get commit(): string {
    return this.#file.commit;
  }

  get xetHash(): string | undefined {
    return this.#file.xetHash;
  }

  /** A part of it, without fetching anything; negative positions count from the end, as in `Blob.slice`. */
  slice(start = 0, end: number = this.size): XetFile {
    const first = position(start, this.size);
    const last = Math.max(first, position(end, this.size));
    return new XetFile(this.#engine, this.#file, this.#signal, {
      start: this.#range.start + first,
      end: this.#range.start + last,
    });
  }

  /**
   * The bytes as they come. A whole file's stream ends only after its hash was found right; corrupt data makes
   * it fail with `INTEGRITY`. Cancelling stops the download.
   */
  stream(options: { signal?: AbortSignal } = {}): ReadableStream<Uint8Array> {
    const stop = new AbortController();
    const content = this.#content([stop.signal, options.signal], false);
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await content.next();
          if (done) controller.close();
          else controller.enqueue(value.bytes);
        },
        async cancel(reason) {
          stop.abort(reason ?? new XetError('CLOSED', 'The stream was cancelled.'));
          await content.return();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** The bytes `start` (included) to `end` (excluded). Throws `INVALID_ARGUMENT` for bounds outside of the file. */
  async read(start: number, end: number, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > this.size) {
      throw new XetError('INVALID_ARGUMENT', `No range ${start}–${end} in ${this.size} bytes of '${this.path}'.`);
    }
    return this.slice(start, end).#collect(options.signal);
  }

  /** All of it in memory. */
  async arrayBuffer(options: { signal?: AbortSignal } = {}): Promise<ArrayBuffer> {
    return (await this.#collect(options.signal)).buffer as ArrayBuffer;
  }

  /** All of it as UTF-8 text. */
  async text(options: { signal?: AbortSignal } = {}): Promise<string> {
    return new TextDecoder().decode(await this.#collect(options.signal));
  }

  async #collect(signal: AbortSignal | undefined): Promise<Uint8Array> {
    const all = new Uint8Array(this.size);
    const fill = async (fresh: boolean) => {
      let at = 0;
      for await (const { bytes } of this.#content([signal], fresh)) {
        all.set(bytes, at);
        at += bytes.length;
      }
    };
    try {
      await fill(false);
    } catch (error) {
      if (!isXetError(error, 'INTEGRITY')) throw error;
      await fill(true);
    }
    return all;
  }

  #content(signals: (AbortSignal | undefined)[], fresh: boolean): AsyncGenerator<Content, void, undefined> {
    const signal = AbortSignal.any([this.#signal, ...signals.filter((one) => one !== undefined)]);
    return this.#engine.read(this.#file, this.#range, { signal, fresh });
  }
}

function position(value: number, size: number): number {
  const whole = Math.trunc(value) || 0;
  return whole < 0 ? Math.max(size + whole, 0) : Math.min(whole, size);
}
