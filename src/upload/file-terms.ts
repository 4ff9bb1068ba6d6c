import type { ChunkRange } from '../core/ranges.ts';

/** A xorb by its hash, or a xorb of this upload by its number: its hash is known only when it is full. */
export type XorbName = string | number;

/** Location of a chunk that is stored, or is about to be. */
export interface ChunkPlace {
  xorb: XorbName;
  index: number;
}

/** Consecutive chunks of one xorb that form a part of a file. */
export interface FileTerm<Name extends XorbName = XorbName> {
  xorb: Name;
  chunks: ChunkRange;
  /** Uncompressed bytes. */
  unpackedLength: number;
}

/** True if a chunk directly follows another one in the same xorb. */
export function follows(place: ChunkPlace, before: ChunkPlace | undefined): boolean {
  return before !== undefined && place.xorb === before.xorb && place.index === before.index + 1;
}

/** Collects the terms of a file, chunk by chunk. Neighbouring chunks form one term. */
export class FileTerms {
  readonly terms: FileTerm[] = [];

  /** Adds the next chunk of the file. */
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

  /** Place of the last chunk. */
  get lastPlace(): ChunkPlace | undefined {
    const last = this.terms.at(-1);
    return last && { xorb: last.xorb, index: last.chunks.end - 1 };
  }
}

/** For each term, its chunks by their index in the file. Verification hashes cover these. */
export function verificationRanges(terms: readonly FileTerm[]): ChunkRange[] {
  let at = 0;
  return terms.map(({ chunks }) => {
    const start = at;
    at += chunks.end - chunks.start;
    return { start, end: at };
  });
}
