import type { ChunkRecords } from './chunks.ts';
import type { ChunkRange } from './ranges.ts';

export interface RecipeTerm {
  /** Xorb hash. */
  xorb: string;
  chunks: ChunkRange;
  /** Uncompressed bytes of the run. */
  unpackedLength: number;
}

/** Terms and chunks of a verified file. */
export interface Recipe {
  /** Xet file hash. */
  fileHash: string;
  /** Bytes. */
  size: number;
  terms: RecipeTerm[];
  /** All chunks of the file in order; a term has as many as its chunk range. */
  records: ChunkRecords;
}
