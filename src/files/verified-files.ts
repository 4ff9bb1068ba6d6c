import type { Verified } from '../core/content-hash.ts';

export interface FileContent {
  etag: string;
  xetHash: string | undefined;
  verified: Verified;
}

/** Properties that distinguish a file from a later one of the same name, and from itself after a change. */
export interface FileFingerprint {
  ino: bigint;
  size: bigint;
  mtimeNs: bigint;
}

/** Fingerprint of a file when its content was verified. */
export interface VerifiedFingerprint {
  etag: string;
  verified: Verified;
  /** Bytes. */
  size: number;
  /** Nanoseconds since 1970. */
  mtimeNs: string;
  /** Of the last change of anything about the file: it moves on even where the time of modification is put back. */
  ctimeNs: string;
  inode: string;
}

/** Fingerprints of a snapshot's files at their last verification, by path in the repository. */
export type FilesSeen = ReadonlyMap<string, VerifiedFingerprint>;

/** One note for each snapshot, so that one look at each of its files says that they are what they were. */
export interface SnapshotsSeen {
  /** Notes on the snapshot of a commit in a folder. */
  read(root: string, commit: string): Promise<FilesSeen | undefined>;
  /** Notes it, in place of what was noted. What cannot be noted is no error. */
  write(root: string, commit: string, files: FilesSeen): Promise<void>;
  /** Fingerprint of the file at a path when this object verified its etag. */
  look(path: string, etag: string): Promise<VerifiedFingerprint | undefined>;
  /** True if the file at a path still has this fingerprint. Links are followed. */
  isSame(path: string, seen: VerifiedFingerprint): Promise<boolean>;
}

/**
 * Files on this disk whose content was verified. A file counts as unchanged as long as its size, its time of
 * modification (to the nanosecond) and its inode are what they were when it was remembered.
 */
export interface VerifiedFiles {
  /**
   * Remembers a file that has just been verified. What cannot be remembered is no error.
   *
   * @param look the file as it was verified: another one that got its name since is not remembered.
   */
  remember(path: string, content: FileContent, look?: FileFingerprint): Promise<void>;
  /**
   * Verification method of the file at a path for this etag and size in bytes, if it is unchanged since. Links are
   * followed.
   */
  check(path: string, etag: string, size?: number): Promise<Verified | undefined>;
  /** Unchanged files with this content, by their xet file hash. */
  pathsOf(xetHash: string): Promise<string[]>;
  forget(path: string): Promise<void>;
  /** Fingerprints of snapshot files; undefined where nothing is stored. */
  snapshots?: SnapshotsSeen;
  /** Files that are remembered, and the bytes that this takes. */
  usage(): Promise<{ bytes: number; files: number }>;
  clear(): Promise<void>;
}
