import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { readExactly, readPieces } from './store/read-pieces.ts';

/** Content of a file: bytes, text, or a file on disk. */
export type Content = Uint8Array | string | { file: string };

/** Content that can be read more than once without holding all of it. */
export interface OpenedContent {
  size: number;
  sample(maxBytes: number): Promise<Uint8Array>;
  pieces(): AsyncIterable<Uint8Array>;
}

const PIECE_BYTES = 4 * 1024 * 1024;

export async function openContent(content: Content): Promise<OpenedContent> {
  if (typeof content !== 'string' && !(content instanceof Uint8Array)) return fileSource(content.file);
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return {
    size: bytes.length,
    sample: async (maxBytes) => bytes.subarray(0, maxBytes),
    pieces: async function* () {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
    },
  };
}

async function fileSource(path: string): Promise<OpenedContent> {
  const { size } = await stat(path);
  return {
    size,
    sample: async (maxBytes) => {
      const file = await open(path, 'r');
      try {
        return await readExactly(file, 0, Math.min(size, maxBytes));
      } finally {
        await file.close();
      }
    },
    pieces: () => readPieces(path, { start: 0, end: size }),
  };
}

export async function sha256Of(source: OpenedContent): Promise<string> {
  const digest = createHash('sha256');
  for await (const piece of source.pieces()) digest.update(piece);
  return digest.digest('hex');
}
