import type { Verified } from '../core/content-hash.ts';

export interface FileContent {
  etag: string;
  xetHash: string | undefined;
  verified: Verified;
}

/** Properties that distinguish a file from a later one of the same name, and from itself after a change. */
export interface FileLook {
  ino: bigint;
  size: bigint;
  mtimeNs: bigint;
}

/** What a file looked like when its content was known. */
export interface SeenFile {
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

/** What the files of a snapshot looked like when they were last verified, by their paths in the repository. */
export type FilesSeen = ReadonlyMap<string, SeenFile>;

/** One note for each snapshot, so that one look at each of its files says that they are what they were. */
export interface SnapshotsSeen {
  /** What is noted of the snapshot of a commit in a folder. */
  read(root: string, commit: string): Promise<FilesSeen | undefined>;
  /** Notes it, in place of what was noted. What cannot be noted is no error. */
  write(root: string, commit: string, files: FilesSeen): Promise<void>;
  /** How the file at a path looked when this object found it to have this etag. */
  look(path: string, etag: string): Promise<SeenFile | undefined>;
  /** Whether the file at a path still looks so. Links are followed. */
  isSame(path: string, seen: SeenFile): Promise<boolean>;
}

/**
 * Files on this disk whose content was verified. A file counts as unchanged as long as its size, its time of
 * modification (to the nanosecond) and its inode are what they were when it was remembered.
 */
export interface KnownFiles {
  /**
   * Remembers a file that has just been verified. What cannot be remembered is no error.
   *
   * @param look the file as it was verified: another one that got its name since is not remembered.
   */
  remember(path: string, content: FileContent, look?: FileLook): Promise<void>;
  /** How the file at a path was verified to have this etag, and a size in bytes, if it is unchanged since. Links are followed. */
  check(path: string, etag: string, size?: number): Promise<Verified | undefined>;
  /** Unchanged files with this content, by their xet file hash. */
  pathsOf(xetHash: string): Promise<string[]>;
  forget(path: string): Promise<void>;
  /** What the files of snapshots looked like; undefined where files are nowhere kept. */
  snapshots?: SnapshotsSeen;
  /** Files that are remembered, and the bytes that this takes. */
  usage(): Promise<{ bytes: number; files: number }>;
  clear(): Promise<void>;
}
