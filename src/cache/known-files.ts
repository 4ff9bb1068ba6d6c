import type { Verified } from '../download/content-hash.ts';

export interface FileContent {
  etag: string;
  xetHash: string | undefined;
  verified: Verified;
}

/**
 * Files on this disk whose content was verified. A file counts as unchanged as long as its size, its time of
 * modification (to the nanosecond) and its inode are what they were when it was remembered.
 */
export interface KnownFiles {
  /** Remembers a file that has just been verified. What cannot be remembered is no error. */
  remember(path: string, content: FileContent): Promise<void>;
  /** How the file at a path was verified to have this etag, and a size in bytes, if it is unchanged since. Links are followed. */
  check(path: string, etag: string, size?: number): Promise<Verified | undefined>;
  /** Unchanged files with this content, by their xet file hash. */
  pathsOf(xetHash: string): Promise<string[]>;
  forget(path: string): Promise<void>;
  /** Files that are remembered, and the bytes that this takes. */
  usage(): Promise<{ bytes: number; files: number }>;
  clear(): Promise<void>;
}
