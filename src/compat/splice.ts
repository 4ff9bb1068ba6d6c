import { XetError } from '../core/errors.ts';

/** One replaced part of an original. */
export interface Edit {
  content: Blob;
  start: number;
  end: number;
}

/** A part of the result, of the original or of an edit. */
export interface SplicePiece {
  from: Blob;
  start: number;
  end: number;
}

/** In which order the result is read from where. Edits may come in any order, but must lie in the original, apart. */
export function spliced(original: Blob, edits: readonly Edit[]): SplicePiece[] {
  if (!(original instanceof Blob) || !Array.isArray(edits) || !edits.every(({ content }) => content instanceof Blob)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      'An edit is { path, originalContent, edits: [{ start, end, content }] }, with Blobs as originalContent and content.',
    );
  }
  const pieces: SplicePiece[] = [];
  let at = 0;
  for (const { content, start, end } of [...edits].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (!Number.isInteger(start) || !Number.isInteger(end) || start < at || end < start || end > original.size) {
      throw new XetError(
        'INVALID_ARGUMENT',
        `Edits must lie in the ${original.size} bytes of the original, and apart from each other: ${start}–${end} does not.`,
      );
    }
    pieces.push({ from: original, start: at, end: start }, { from: content, start: 0, end: content.size });
    at = end;
  }
  pieces.push({ from: original, start: at, end: original.size });
  return pieces.filter((piece) => piece.end > piece.start);
}

/** The edited content, read as it is asked for. What did not change is not stored again: its chunks are known. */
export function splice(original: Blob, edits: readonly Edit[]): AsyncIterable<Uint8Array> {
  const pieces = spliced(original, edits);
  return {
    async *[Symbol.asyncIterator]() {
      for (const { from, start, end } of pieces) yield* chunksOf(from.slice(start, end).stream());
    },
  };
}

async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
