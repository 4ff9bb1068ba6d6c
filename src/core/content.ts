import type { ChunkRecords } from './chunks.ts';
import type { ByteRange } from './ranges.ts';

/** A run of a file's bytes, where it belongs, and the records of the chunks that lie wholly in it. */
export interface FileSpan {
  /** Offset in the file. */
  at: number;
  bytes: Uint8Array;
  chunks: ChunkRecords;
}

export interface LocalReading {
  signal: AbortSignal;
  /** True if each piece is used only until the next is requested, so its memory may be reused. */
  lent?: boolean | undefined;
}

/** A part of a file that need not be fetched: its chunks are on this machine. */
export interface LocalPart extends ByteRange {
  /** Records of the part's chunks, all complete. */
  chunks: ChunkRecords;
  /**
   * The part's bytes in order, each chunk hashed again. Ends early where they turn out not to be here any more;
   * the rest is to be had elsewhere.
   */
  read(reading: LocalReading): AsyncGenerator<FileSpan, void, undefined>;
}
