import type { ChunkRange } from '../core/ranges.ts';

/** A xorb by its hash, or one of this upload by its number, as its hash is known only when it is full. */
export type XorbName = string | number;

/** Where a chunk is stored, or is going to be. */
export interface ChunkPlace {
  xorb: XorbName;
  index: number;
}

/** A run of chunks of one xorb that makes a run of a file. */
export interface FileTerm<Name extends XorbName = XorbName> {
  xorb: Name;
  chunks: ChunkRange;
  /** Uncompressed bytes. */
  unpackedLength: number;
}

/** Whether a chunk comes right behind another one, in the same xorb. */
export function follows(place: ChunkPlace, before: ChunkPlace | undefined): boolean {
  return before !== undefined && place.xorb === before.xorb && place.index === before.index + 1;
}

/** Gathers the terms of a file, chunk by chunk; neighbours become one term. */
export class FileTerms {
  readonly terms: FileTerm[] = [];

  /** The next chunk of the file, of so many bytes. */
  add(place: ChunkPlace, length: number): void {
    const last = this.terms.at(-1);
    if (last && follows(place, this.lastPlace)) {
      last.chunks.end++;
      last.unpackedLength += length;
      return;
    }
    const chunks = { start: place.index, end: place.index + 1 };
    this.terms.push({ xorb: place.xorb, chunks, unpackedLength: length });
  }

  /** Where the chunk that was added last is stored. */
  get lastPlace(): ChunkPlace | undefined {
    const last = this.terms.at(-1);
    return last && { xorb: last.xorb, index: last.chunks.end - 1 };
  }
}

/** For each term the file's own chunks that it makes, counted from the start of the file: what its proof is about. */
export function verificationRanges(terms: readonly FileTerm[]): ChunkRange[] {
  let at = 0;
  return terms.map(({ chunks }) => {
    const start = at;
    at += chunks.end - chunks.start;
    return { start, end: at };
  });
}
