import type { SpawnWorker } from '../../workers/spawn.ts';
import type { ChunkRecords } from '../core/chunks.ts';
import type { Verified } from '../core/content-hash.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { ListEntry, RepoId } from '../hub/types.ts';
import type { DiskOffload } from './disk-offload.ts';
import type { ExistingFile, HeldFile } from './held-file.ts';
import type { VerifiedFiles } from './verified-files.ts';

/** Bytes of a file that are in place, with the chunks that they are: all of them whole. */
export interface HeldPart extends ByteRange {
  chunks: ChunkRecords;
}

/** An open file by its path and its identity, as decimal numbers. */
export interface FileDestination {
  path: string;
  device: string;
  inode: string;
}

/**
 * Receives a file's bytes at their places in any order, out of sight until it is published. What was written and
 * not published stays for the next try, in this process or another.
 */
export interface FileSink {
  /** Parts that are in place and were hashed again; ascending and disjoint. */
  readonly held: readonly HeldPart[];
  /** Parts that an earlier attempt wrote without chunk records; only the file hash can verify them. */
  readonly unchecked: readonly ByteRange[];
  /** Bytes that are in place. */
  read(range: ByteRange): AsyncIterable<Uint8Array>;
  /** Puts bytes where they belong. `chunks` are exactly these bytes, or none where that is not known. */
  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void>;
  /** The open file, for others who write to it; undefined where only {@link write} can. */
  destination?(): Promise<FileDestination>;
  /** Notes bytes that others have written to {@link destination}. */
  note?(at: number, length: number, chunks: ChunkRecords): Promise<void>;
  /** Forgets everything written so far, also by earlier tries. */
  restart(): Promise<void>;
  /** Puts the finished file under its name in one step and gives the path. */
  publish(verified: Verified): Promise<string>;
  /** Lets go. What was written stays, unless it is known to be of no use. */
  close(): Promise<void>;
}

/** Destination of one file of a repository on this machine. */
export interface Place {
  /** The path, if the right file is already there, having checked it. */
  existing(signal: AbortSignal): Promise<ExistingFile | undefined>;
  /** The right to write it; waits while another process has it. */
  openSink(options: { signal: AbortSignal; onWait: () => void; resume: boolean }): Promise<FileSink>;
}

/** A file of a snapshot that is in place. */
export interface BroughtFile {
  /** Path in the repository. */
  path: string;
  /** Path on this machine. */
  localPath: string;
  etag: string;
  /** Bytes. */
  size: number;
}

/** A version of a file that is here, as far as is known of another commit. */
export interface EarlierFile {
  localPath: string;
  commit: string;
}

/** The files of one commit during a snapshot. A file that was found is remembered until its place was asked for it. */
export interface CommitFiles {
  /** A file, if it is here. */
  find(path: string): Promise<HeldFile | undefined>;
  place(file: ResolvedFile, revision: string): Place;
  /** Notes the files of the snapshot, so that the next one finds them sooner. Never rejects. */
  noteSnapshot(files: readonly BroughtFile[]): Promise<void>;
}

/** The files of a commit as a store opens them, or as it finds each alone. */
export async function commitFilesOf(
  store: RepoStore,
  repo: RepoId,
  commit: string,
  files: number,
): Promise<CommitFiles> {
  const opened = await store.commitFiles?.(repo, commit, files);
  return (
    opened ?? {
      find: (path) => store.find(repo, commit, path),
      place: (file, revision) => store.place(file, revision),
      noteSnapshot: async () => undefined,
    }
  );
}

/**
 * A folder for files of repositories, and what it remembers of them: the Hub cache folder, or a folder of the
 * user's own. What it remembers is a convenience: writing it never fails a download, and what is read from it is
 * checked or absent.
 */
export interface RepoStore {
  /**
   * Opens the files of a commit for a snapshot, of which so many will be looked up, and most of them written. Undefined for stores
   * that look at each file alone.
   */
  commitFiles?(repo: RepoId, commit: string, files: number): Promise<CommitFiles>;
  place(file: ResolvedFile, revision: string): Place;
  /**
   * Rejects with `DISK_FULL` if there is certainly too little space for all these files. Undefined for stores that check
   * when a file is opened.
   */
  requireSpace?(files: readonly ResolvedFile[]): Promise<void>;
  /** The commit that a revision stood for when a server was last asked; a commit stands for itself. */
  commitOf(repo: RepoId, revision: string): Promise<string | undefined>;
  noteCommit(repo: RepoId, revision: string, commit: string): Promise<void>;
  /** All files of a commit, as they were listed once. */
  tree(repo: RepoId, commit: string): Promise<ListEntry[] | undefined>;
  noteTree(repo: RepoId, commit: string, entries: readonly ListEntry[]): Promise<void>;
  /** True if a server reported that the commit has no such file. */
  knownMissing(repo: RepoId, commit: string, path: string): Promise<boolean>;
  noteMissing(repo: RepoId, commit: string, path: string): Promise<void>;
  /** A file at a commit, if it is here. */
  find(repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined>;
  /** Other versions of a file that are here, the latest first: most of their chunks are likely the same. */
  earlier(file: ResolvedFile): Promise<EarlierFile[]>;
  /** Folder of a commit's files, as a snapshot returns it. */
  folder(repo: RepoId, commit: string): string;
}

export interface RepoStoreOptions {
  /** A folder that mirrors the repository, in place of the Hub cache folder. */
  localDir?: string | undefined;
  /** The Hub cache folder, if not the environment's. */
  cacheDir?: string | undefined;
  /** Notes on verified files, which save hashing them again. */
  known: VerifiedFiles;
  /** Disk thread for many files. */
  help?: DiskOffload | undefined;
  /** Starts the worker that a page needs to write in place. */
  spawnWorker?: SpawnWorker | undefined;
}

export type OpenRepoStore = (options: RepoStoreOptions) => RepoStore;
