import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import type { ByteRange } from '../../core/ranges.ts';

const PIECE_BYTES = 1024 * 1024;

/** The bytes of a range of a file, in pieces; a file that ends early is an error, never a silent short read. */
export async function* readPieces(path: string, range: ByteRange): AsyncGenerator<Uint8Array, void, undefined> {
  if (range.end <= range.start) return;
  const file = await open(path, 'r');
  try {
    for (let at = range.start; at < range.end; ) {
      const piece = await readExactly(file, at, Math.min(PIECE_BYTES, range.end - at));
      at += piece.length;
      yield piece;
    }
  } finally {
    await file.close();
  }
}

/** Exactly `length` bytes from `at`. */
export async function readExactly(file: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, at + filled);
    if (bytesRead === 0) throw new Error(`A stored file ends ${length - filled} bytes too early`);
    filled += bytesRead;
  }
  return bytes;
}
