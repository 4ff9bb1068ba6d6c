/** Reader of a body: `read` returns the next piece, or the end. */
export interface PieceReader {
  read(): Promise<BodyPiece>;
  cancel(): Promise<void>;
}

/** The same, into memory that it is given: that of the view is moved into the piece. */
export interface FillingReader {
  read(into: Uint8Array<ArrayBuffer>): Promise<BodyPiece>;
  cancel(): Promise<void>;
}

export interface BodyPiece {
  done: boolean;
  value?: Uint8Array | undefined;
}

/** As much of a stream of bytes as is used here. */
export interface ResponseBody {
  getReader(): PieceReader;
  /** Throws where the stream gives only pieces of its own making. */
  getReader(options: { mode: 'byob' }): FillingReader;
  /** Each piece of use until the next is asked for: of bodies that read into the same memory again and again by themselves. */
  lend?(): PieceReader;
  /** Of one that is unpacked on the way: how many bytes of it have come. */
  packedBytes?(): number;
}

/** About what a browser has ready at once; little enough to stay in a processor's cache. */
const LENT_BYTES = 256 * 1024;
/** Little enough for many short bodies; what a server says of their length is not to make it less. */
const MIN_LENT_BYTES = 4096;

/**
 * Reads a body into one piece of memory again and again. Browsers make each piece of a body anew, up to 2 MiB of it: to
 * touch that for the first time costs more than all else that is done with it, and it lies about until it is collected.
 * @param length of the body in bytes, if it is known
 */
export function lendingReader(body: ResponseBody, length: number): PieceReader {
  if (body.lend) return body.lend();
  let reader: FillingReader;
  try {
    reader = body.getReader({ mode: 'byob' });
  } catch {
    return body.getReader();
  }
  let memory: ArrayBufferLike = new ArrayBuffer(Math.min(LENT_BYTES, Math.max(length, MIN_LENT_BYTES)));
  return {
    cancel: () => reader.cancel(),
    async read() {
      const piece = await reader.read(new Uint8Array(memory as ArrayBuffer));
      if (piece.value) memory = piece.value.buffer;
      return piece;
    },
  };
}
