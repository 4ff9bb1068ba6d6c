import { untilAborted } from '../core/abortable.ts';
import { XetError } from '../core/errors.ts';
import { type Look, SAMPLE_BYTES, type SourceFile } from './source-file.ts';

/** A stream that ends within this is known as a whole before anything is asked; any other is a large file. */
const READ_AHEAD_BYTES = 1024 * 1024;

/** Content that can be read once, from its start on, and does not say how long it is. */
export class StreamSource implements SourceFile {
  readonly #name: string;
  readonly #content: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;
  #pieces: AsyncIterator<Uint8Array> | undefined;
  readonly #ahead: Uint8Array[] = [];
  #ended = false;

  constructor(name: string, content: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>) {
    this.#name = name;
    this.#content = content;
  }

  async look(signal: AbortSignal): Promise<Look> {
    this.#pieces ??= iterate(this.#content)[Symbol.asyncIterator]();
    let length = this.#ahead.reduce((sum, piece) => sum + piece.length, 0);
    while (!this.#ended && length <= READ_AHEAD_BYTES) {
      const next = await untilAborted(signal, this.#pieces.next());
      if (next.done) this.#ended = true;
      else {
        this.#ahead.push(this.#checked(next.value));
        length += next.value.length;
      }
    }
    return { size: this.#ended ? length : undefined, sample: firstBytes(this.#ahead) };
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const pieces = this.#pieces;
    try {
      for (let piece = this.#ahead.shift(); piece; piece = this.#ahead.shift()) yield piece;
      while (pieces && !this.#ended) {
        const next = await pieces.next();
        if (next.done) this.#ended = true;
        else yield this.#checked(next.value);
      }
    } finally {
      if (!this.#ended) void Promise.resolve(pieces?.return?.()).catch(() => undefined);
    }
  }

  #checked(piece: unknown): Uint8Array {
    if (piece instanceof Uint8Array) return piece;
    throw new XetError('INVALID_ARGUMENT', `The content of '${this.#name}' must come as Uint8Array pieces.`);
  }
}

/** Not every browser iterates its streams. */
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
