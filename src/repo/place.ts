import type { Verified } from '../download/content-hash.ts';
import type { ResolvedFile } from '../hub/client.ts';

/** Receives a file's bytes in order, out of sight until it is published. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>;
  /** Forgets everything written so far. */
  restart(): Promise<void>;
  /** Puts the finished file under its name in one step and gives the path. */
  publish(): Promise<string>;
  /** Closes; what was written is removed. */
  discard(): Promise<void>;
}

/** Where one file of a repository goes on this machine. */
export interface Place {
  /** The path, if the right file is already there, having read and checked it. */
  existing(signal: AbortSignal): Promise<{ path: string; verified: Verified } | undefined>;
  openSink(): Promise<FileSink>;
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
