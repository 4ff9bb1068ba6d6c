import { untilAborted } from '../core/abortable.ts';
import { XetError } from '../core/errors.ts';

/** Bytes at the start of a file that the Hub's preupload call expects. */
export const SAMPLE_BYTES = 512;
const PIECE_BYTES = 1024 * 1024;
/** A stream that ends within this is read before the preupload call; any longer one is a large file. */
const MAX_SMALL_STREAM_BYTES = 1024 * 1024;

/** Facts about content before it is read. */
export interface ContentPeek {
  /** Bytes; undefined for a stream of unknown length. */
  size: number | undefined;
  /** The first bytes, up to {@link SAMPLE_BYTES}. */
  sample: Uint8Array;
  /** Modification time in milliseconds since 1970, if the content has one. */
  mtimeMs?: number;
}

/** Reads the content of a file to upload. */
export interface ContentReader {
  /** Looks at the content; called first. */
  peek(signal: AbortSignal): Promise<ContentPeek>;
  /** Reads all of it, once. Throws `CONFLICT` if it has changed since the peek. */
  bytes(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
}

/** Passes on exactly `size` bytes. Fewer or more mean that something writes to the file while it is read. */
export async function* exactly(
  size: number,
  name: string,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let read = 0;
  for await (const piece of pieces) {
    read += piece.length;
    if (read > size) throw changed(name);
    yield piece;
  }
  if (read < size) throw changed(name);
}

/** The error for a file that changes during its upload. */
export function changed(name: string, cause?: unknown): XetError {
  return new XetError(
    'CONFLICT',
    `'${name}' changed while it was read, so nothing was committed. Run the upload again when nothing writes to it.`,
    { cause },
  );
}

/** Reads bytes in memory. */
export function bytesReader(bytes: Uint8Array): ContentReader {
  return {
    peek: async () => ({ size: bytes.length, sample: bytes.subarray(0, SAMPLE_BYTES) }),
    async *bytes() {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
    },
  };
}

/** Reads a Blob or File. Browsers refuse to read a file that has changed on disk since the user picked it. */
export class BlobReader implements ContentReader {
  readonly #name: string;
  readonly #blob: Blob;

  constructor(name: string, blob: Blob) {
    this.#name = name;
    this.#blob = blob;
  }

  async peek(): Promise<ContentPeek> {
    const head = this.#blob.slice(0, SAMPLE_BYTES);
    const sample = new Uint8Array(await this.#readable(head.arrayBuffer()));
    return {
      size: this.#blob.size,
      sample,
      ...(this.#blob instanceof File && { mtimeMs: this.#blob.lastModified }),
    };
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const pieces = exactly(this.#blob.size, this.#name, iterate(this.#blob.stream()));
    try {
      for (;;) {
        const next = await this.#readable(pieces.next());
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await pieces.return();
    }
  }

  async #readable<T>(step: Promise<T>): Promise<T> {
    try {
      return await step;
    } catch (error) {
      if (error instanceof DOMException && /^Not(Readable|Found)Error$/.test(error.name)) {
        throw changed(this.#name, error);
      }
      throw error;
    }
  }
}

/** Reads a stream of unknown length, once. */
export class StreamReader implements ContentReader {
  readonly #name: string;
  readonly #content: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;
  #pieces: AsyncIterator<Uint8Array> | undefined;
  readonly #begun: Uint8Array[] = [];
  #ended = false;

  constructor(name: string, content: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>) {
    this.#name = name;
    this.#content = content;
  }

  async peek(signal: AbortSignal): Promise<ContentPeek> {
    this.#pieces ??= iterate(this.#content)[Symbol.asyncIterator]();
    let length = this.#begun.reduce((sum, piece) => sum + piece.length, 0);
    while (!this.#ended && length <= MAX_SMALL_STREAM_BYTES) {
      const next = await untilAborted(signal, this.#pieces.next());
      if (next.done) this.#ended = true;
      else {
        this.#begun.push(this.#asBytes(next.value));
        length += next.value.length;
      }
    }
    return { size: this.#ended ? length : undefined, sample: firstBytes(this.#begun) };
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const pieces = this.#pieces;
    try {
      for (let piece = this.#begun.shift(); piece; piece = this.#begun.shift()) yield piece;
      while (pieces && !this.#ended) {
        const next = await pieces.next();
        if (next.done) this.#ended = true;
        else yield this.#asBytes(next.value);
      }
    } finally {
      if (!this.#ended) void Promise.resolve(pieces?.return?.()).catch(() => undefined);
    }
  }

  #asBytes(piece: unknown): Uint8Array {
    if (piece instanceof Uint8Array) return piece;
    throw new XetError('INVALID_ARGUMENT', `The pieces of '${this.#name}' must be Uint8Arrays.`);
  }
}

/** Iterates a stream; not every browser's streams are iterable. */
export async function* iterate(
  content: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (!('getReader' in content)) {
    yield* content;
    return;
  }
  const reader = content.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!ended) void reader.cancel().catch(() => undefined);
    reader.releaseLock();
  }
}

function firstBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const sample = new Uint8Array(SAMPLE_BYTES);
  let filled = 0;
  for (const piece of pieces) {
    const taken = piece.subarray(0, SAMPLE_BYTES - filled);
    sample.set(taken, filled);
    filled += taken.length;
  }
  return sample.subarray(0, filled);
}

/** Reads small content into memory. */
export async function readAll(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of pieces) {
    signal.throwIfAborted();
    parts.push(piece.slice());
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
