import type { ChunkRecords } from './chunks.ts';
import type { ByteRange } from './ranges.ts';

/** A run of a file's bytes, where it belongs, and the records of the chunks that lie wholly in it. */
export interface Content {
  /** Offset in the file. */
  at: number;
  bytes: Uint8Array;
  chunks: ChunkRecords;
}

export interface LocalReading {
  signal: AbortSignal;
  /** What comes is only looked at until the next is asked for, so its memory may be used again. */
  lent?: boolean | undefined;
}

/** A part of a file that need not be fetched: its chunks are on this machine. */
export interface LocalPart extends ByteRange {
  /** What the part is: whole chunks. */
  chunks: ChunkRecords;
  /**
   * The part's bytes in order, each chunk hashed again. Ends early where they turn out not to be here any more;
   * the rest is to be had elsewhere.
   */
  read(reading: LocalReading): AsyncGenerator<Content, void, undefined>;
}
