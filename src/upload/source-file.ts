import { XetError } from '../core/errors.ts';

/** What the Hub wants to see of a file before it says how to upload it. */
export const SAMPLE_BYTES = 512;
const PIECE_BYTES = 1024 * 1024;

/** What can be said of a file before all of it is read. */
export interface Look {
  /** Bytes; undefined for a stream that does not say. */
  size: number | undefined;
  /** Its first bytes, up to {@link SAMPLE_BYTES}. */
  sample: Uint8Array;
}

/** One file that is to be uploaded. Nothing of it is read before it is looked at. */
export interface SourceFile {
  look(signal: AbortSignal): Promise<Look>;
  /** All of it, after a look, once. Throws `CONFLICT` where it is not what it was then. */
  bytes(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
}

/** Passes on exactly so many bytes: fewer or more mean that the file is being written while it is read. */
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

/** What is thrown where a file changes under its upload. */
export function changed(name: string, cause?: unknown): XetError {
  return new XetError(
    'CONFLICT',
    `'${name}' changed while it was read, so nothing was committed. Run the upload again when nothing writes to it.`,
    { cause },
  );
}

/** Bytes that are in memory already. */
export function bytesSource(bytes: Uint8Array): SourceFile {
  return {
    look: async () => ({ size: bytes.length, sample: bytes.subarray(0, SAMPLE_BYTES) }),
    async *bytes() {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
    },
  };
}
