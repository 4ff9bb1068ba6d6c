import type { ChunkRecords } from '../chunks.ts';
import type { Verified } from '../download/content-hash.ts';
import type { ResolvedFile } from '../hub/client.ts';

/**
 * Receives a file's bytes in order, out of sight until it is published. What was written and not published
 * stays for the next try, in this process or another.
 */
export interface FileSink {
  /** What an earlier try left, checked again: chunks from the start of the file, and how many bytes they are. */
  readonly resumed: { chunks: ChunkRecords; bytes: number };
  /**
   * Keeps what an earlier try left behind `resumed` as well, unchecked; gives the bytes that are there then.
   * Only before anything is written.
   */
  takeUnchecked(): number;
  /** What has been written so far, from the start of the file. */
  written(): AsyncIterable<Uint8Array>;
  /** Appends bytes, and the records of the chunks that lie wholly in them. */
  write(bytes: Uint8Array, chunks: ChunkRecords): Promise<void>;
  /** Forgets everything written so far, also by earlier tries. */
  restart(): Promise<void>;
  /** Puts the finished file under its name in one step and gives the path. */
  publish(): Promise<string>;
  /** Lets go. What was written stays, unless it is known to be of no use. */
  close(): Promise<void>;
}

/** Where one file of a repository goes on this machine. */
export interface Place {
  /** The path, if the right file is already there, having read and checked it. */
  existing(signal: AbortSignal): Promise<{ path: string; verified: Verified } | undefined>;
  /** The right to write it; waits while another process has it. */
  openSink(options: { signal: AbortSignal; onWait: () => void; resume: boolean }): Promise<FileSink>;
}

export interface PlaceOptions {
  /** A folder that mirrors the repository. */
  localDir?: string | undefined;
  /** The Hub cache folder, if not the environment's. */
  cacheDir?: string | undefined;
  revision: string;
}

/** Finds places; one for each kind of storage that a platform has. */
export type Places = (file: ResolvedFile, options: PlaceOptions) => Place;
