import { XetError } from '../core/errors.ts';
import type { XetFile } from '../read/xet-file.ts';
import { compatError } from './errors.ts';

/** Source of a lazy blob. */
export interface BlobSource {
  /** Bytes of the whole file. */
  size: number;
  signal: AbortSignal | undefined;
  /** The file, to be read until `release` is called. */
  open(): { file: XetFile; release: () => void };
}

/**
 * A file of a repository as a `Blob`: nothing is fetched before it is read, and of a slice only that.
 *
 * It has the prototype of a `Blob` and no content in the place where platforms look for it: what reads a blob behind its
 * methods would find an empty one, and go on with that. Here it fails and says why.
 */
export class LazyBlob implements Blob {
  static {
    Object.setPrototypeOf(LazyBlob.prototype, Blob.prototype);
  }

  readonly #source: BlobSource;
  readonly #start: number;
  readonly #end: number;
  readonly #type: string;

  constructor(source: BlobSource, start = 0, end: number = source.size, type = '') {
    this.#source = source;
    this.#start = start;
    this.#end = end;
    this.#type = type;
  }

  get size(): number {
    return this.#end - this.#start;
  }

  get type(): string {
    return this.#type;
  }

  slice(start?: number, end?: number, contentType = ''): Blob {
    const first = position(start ?? 0, this.size);
    const last = Math.max(first, position(end ?? this.size, this.size));
    return new LazyBlob(this.#source, this.#start + first, this.#start + last, typeText(contentType));
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const { signal } = this.#source;
    const { file, release } = this.#source.open();
    try {
      return await file.slice(this.#start, this.#end).arrayBuffer({ signal });
    } catch (error) {
      throw compatError(error);
    } finally {
      release();
    }
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.arrayBuffer());
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(await this.arrayBuffer());
  }

  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const stop = new AbortController();
    const pieces = this.#pieces(stop.signal);
    return new ReadableStream(
      {
        async pull(controller) {
          const { done, value } = await pieces.next();
          if (done) controller.close();
          else controller.enqueue(value as Uint8Array<ArrayBuffer>);
        },
        async cancel(reason) {
          // A read that is under way would only be told when its bytes are there.
          stop.abort(reason ?? new XetError('CLOSED', 'The stream was cancelled.'));
          await pieces.return();
        },
      },
      { highWaterMark: 0 },
    );
  }

  async *#pieces(stop: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const signal = this.#source.signal ? AbortSignal.any([stop, this.#source.signal]) : stop;
    const { file, release } = this.#source.open();
    try {
      yield* chunksOf(file.slice(this.#start, this.#end).stream({ signal }));
    } catch (error) {
      throw compatError(error);
    } finally {
      release();
    }
  }

  toString(): never {
    throw new XetError(
      'UNSUPPORTED',
      'This Blob is fetched when it is read, so the platform does not find its content by itself. ' +
        'Give it `await blob.arrayBuffer()` or `blob.stream()`.',
    );
  }

  [Symbol.toPrimitive](): never {
    return this.toString();
  }
}

/** Not every platform has streams that can be iterated over. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
    ended = true;
  } finally {
    if (!ended) await reader.cancel().catch(() => undefined);
  }
}

/** As in `Blob.slice`: negative positions count from the end. */
function position(value: number, size: number): number {
  const whole = Math.trunc(value) || 0;
  return whole < 0 ? Math.max(size + whole, 0) : Math.min(whole, size);
}

/** As in `Blob`: what is not printable is no type. */
function typeText(type: string): string {
  return /^[\x20-\x7e]*$/.test(type) ? type.toLowerCase() : '';
}
