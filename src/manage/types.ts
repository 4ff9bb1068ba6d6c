import type { CacheStores } from '../cache/local-caches.ts';
import type { Verified } from '../core/content-hash.ts';
import type { OnProgress } from '../core/progress.ts';
import type { RepoDesignation, RepoType } from '../hub/types.ts';

/** A revision of a repository in the Hub cache folder. */
export interface RevisionUsage {
  /** Commit hash: 40 hexadecimal digits. */
  commit: string;
  /** Branches and tags that point to it. Without any, the revision is detached, and a prune removes it. */
  refs: string[];
  /** Size of its files in bytes, equal files counted once, including files shared with other revisions. */
  bytes: number;
  /** Number of files. */
  fileCount: number;
  /** Last modification, in milliseconds since 1970. */
  lastModifiedMs: number;
}

/** A repository in the Hub cache folder. */
export interface RepoUsage {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: string;
  /** Type of the repository. Kernels come from Python's client; xetkit does not fetch them. */
  type: RepoType | 'kernel';
  /** Its folder on this machine. */
  folder: string;
  /** Size of the files of all revisions in bytes, equal files counted once. */
  bytes: number;
  /** Number of files with different content. */
  blobCount: number;
  /** Bytes saved because revisions share files. */
  sharedBytes: number;
  /** Bytes of content that no revision uses. */
  unusedBytes: number;
  /** Last access, in milliseconds since 1970. */
  lastAccessedMs: number;
  /** Last modification, in milliseconds since 1970. */
  lastModifiedMs: number;
  /** Revisions that are present in whole or in part. */
  revisions: RevisionUsage[];
}

/**
 * Usage of xetkit's own caches. Everything in them can be rebuilt, so they are safe to delete at any time. A `folder` is
 * undefined where there is no file system, or nothing is kept.
 */
export interface XetkitCacheUsage {
  /** Recipes: how files are built of chunks. */
  recipes: { folder: string | undefined; bytes: number; count: number };
  /** Chunks of reads that left no file; undefined if the client keeps none. */
  chunks: { folder: string | undefined; bytes: number; entries: number; maxBytes: number } | undefined;
  /** Notes on files of this machine that were verified. */
  verifiedFiles: { folder: string | undefined; bytes: number; count: number };
}

/** A damaged or foreign file, or one that could not be processed. */
export interface CacheProblem {
  /** Path on this machine. */
  localPath: string;
  /** The problem, and what to do about it. */
  message: string;
  /** Set if the path could not be read, so that its contents are unknown. */
  unreadable?: true;
}

/** Usage of all caches. Sizes in the Hub cache folder are file lengths; xetkit's own caches count disk blocks. */
export interface CacheUsage {
  /** The Hub cache folder, shared with other Hub clients; undefined where there is no file system. */
  folder: string | undefined;
  /** Contents of the Hub cache folder. */
  repos: RepoUsage[];
  /** Incomplete downloads, running or interrupted. */
  unfinished: { localPath: string; bytes: number }[];
  /** Size of all content in the Hub cache folder in bytes, each file counted once, including unused and incomplete files. */
  hubBytes: number;
  /** xetkit's own caches. */
  xetkit: XetkitCacheUsage;
  /** Size of everything in bytes. */
  totalBytes: number;
  /** Removals that {@link CacheControl.prune} would make now. */
  prunable: { bytes: number; revisions: number };
  /** Damaged or foreign files. A prune repairs most of it. */
  warnings: CacheProblem[];
}

/** Options of {@link CacheControl.prune}. */
export interface PruneCacheOptions {
  /** Limit for the chunk cache in bytes, 0 or more. Default: `chunkCache.maxBytes` of the client. */
  maxBytes?: number;
  /** Removes revisions that no branch or tag points to. Default: true. */
  detached?: boolean;
  /** Reports what would be removed, and removes nothing. Default: false. */
  dryRun?: boolean;
  /** Stops the prune. Removed files stay removed. */
  signal?: AbortSignal;
}

/** Options of {@link CacheControl.remove}. */
export interface RemoveCachedOptions {
  /** Reports what would be removed, and removes nothing. Default: false. */
  dryRun?: boolean;
  /** Stops the removal. Removed files stay removed. */
  signal?: AbortSignal;
}

/**
 * A repository (`'owner/name'`), one revision of it (`'owner/name@main'`, `'owner/name@<commit>'`), or a commit in any
 * repository. Commits may be abbreviated to seven or more digits.
 */
export type CacheTarget = string | { repo: RepoDesignation; revision?: string };

/**
 * Kind of a removed item: `link` and `snapshot` (folders of revisions), `ref`, `note` (metadata of a commit), `repo` (a
 * whole repository), `blob` (content), `unfinished` (an incomplete download) or `shared` (content shared by repositories).
 */
export type RemovalKind = 'link' | 'snapshot' | 'ref' | 'note' | 'repo' | 'blob' | 'unfinished' | 'shared';

/** One item to remove. */
export interface PlannedRemoval {
  /** Kind of the item. */
  kind: RemovalKind;
  /** Path on this machine. */
  localPath: string;
  /** Disk space that its removal frees, in bytes. Shared bytes count with the last item that holds them. */
  bytes: number;
}

/** Result of a removal, or of its dry run. */
export interface RemovalReport {
  /** True if nothing was removed. */
  dryRun: boolean;
  /** Freed bytes, including chunks. */
  freedBytes: number;
  /** Freed bytes of the chunk cache. A dry run reports the minimum, because chunks are removed by the entry. */
  chunkBytes: number;
  /** Removed revisions. Files shared with other revisions stay, so they may free less than `bytes`. */
  revisions: { repo: string; commit: string; refs: string[]; bytes: number }[];
  /** Removed items of the Hub cache folder, in order. */
  removals: PlannedRemoval[];
  /** Items that could not be removed or read. */
  failures: CacheProblem[];
}

/** Result of verifying one file of the Hub cache folder. */
export interface CheckedBlob {
  /** As in `datasets/owner/name`. */
  repo: string;
  /** Path on this machine. */
  localPath: string;
  /** Expected etag; empty if unknown. */
  etag: string;
  /** Size in bytes. */
  size: number;
  /**
   * The hash that matched; `'wrong'` if none did; `'missing'` if snapshots link to an absent file; `'unknown'` if the
   * expected hash is unknown; `'unreadable'` if the file cannot be read.
   */
  verdict: Verified | 'wrong' | 'missing' | 'unknown' | 'unreadable';
  /** Paths in snapshots with this content; of all repositories if the content was removed from what they share. */
  snapshotPaths: string[];
  /** True if the content and all links to it were removed, so that the next download fetches it. */
  removed: boolean;
  /** Reason why it could not be removed. */
  failure?: string;
}

/** Options of {@link CacheControl.verify}. */
export interface VerifyCacheOptions {
  /** Repositories to verify. Default: all, and the recipes. */
  repos?: readonly RepoDesignation[];
  /** Removes wrong files and the links to them, so that the next download fetches them. Default: false. */
  repair?: boolean;
  /** Stops the verification between and within files. */
  signal?: AbortSignal;
  /** Called after each file. */
  onFile?: (checked: CheckedBlob) => void;
  /** Called with the progress of all files together. */
  onProgress?: OnProgress;
}

/** Result of {@link CacheControl.verify}. */
export interface VerifyReport {
  /** Number of hashed files. */
  checked: number;
  /** Size of the hashed files in bytes. */
  bytes: number;
  /** Wrong and missing files. With `repair`, all of them are removed except those with a `failure`. */
  wrong: CheckedBlob[];
  /** Files whose expected hash is unknown. */
  unknown: CheckedBlob[];
  /** Files that could not be read. Unreadable folders are in `warnings`, marked as `unreadable`. */
  unreadable: CheckedBlob[];
  /** Number of checked recipes, and how many were damaged and dropped. */
  recipes: { checked: number; dropped: number };
  /** Other damage, and foreign files. */
  warnings: CacheProblem[];
}

/** Maintenance of everything that is cached on this machine. Methods reject with the signal's reason on abort. */
export interface CacheControl {
  /**
   * Reports the contents and size of all caches, and what {@link prune} would free. Changes nothing.
   *
   * @throws {XetError} `PERMISSION` if the Hub cache folder cannot be read, `CLOSED` after `close()`.
   */
  usage(options?: { signal?: AbortSignal }): Promise<CacheUsage>;
  /**
   * Removes what is no longer needed: least recently used chunks beyond the limit; then, in the Hub cache folder, detached
   * revisions, interrupted downloads, unused content and broken links. Revisions with a branch or tag, and files in use,
   * are kept. Items that cannot be removed are reported as `failures`.
   *
   * @throws {XetError} `INVALID_ARGUMENT` for a negative `maxBytes`, `PERMISSION`, `CLOSED`.
   */
  prune(options?: PruneCacheOptions): Promise<RemovalReport>;
  /**
   * Removes repositories and revisions from the Hub cache folder.
   *
   * @throws {XetError} `INVALID_ARGUMENT` for targets that are absent or ambiguous, `PERMISSION`, `UNSUPPORTED` in browsers.
   */
  remove(targets: CacheTarget | readonly CacheTarget[], options?: RemoveCachedOptions): Promise<RemovalReport>;
  /**
   * Hashes all files of the Hub cache folder again without contacting a server; the next download need not hash them.
   * Chunks are not included, because each is hashed when it is read.
   *
   * @throws {XetError} `INVALID_ARGUMENT` for an absent repository, `PERMISSION`, `UNSUPPORTED` in browsers.
   */
  verify(options?: VerifyCacheOptions): Promise<VerifyReport>;
  /**
   * Empties xetkit's own caches: chunks, recipes, and notes on verified files. Downloaded files stay.
   *
   * @throws {XetError} `PERMISSION` or `CACHE` if a cache cannot be emptied.
   */
  clear(): Promise<{ freedBytes: number }>;
}

/** Everything that cache maintenance needs of a client. */
export interface CacheControlSettings {
  stores: CacheStores;
  /** The Hub cache folder. */
  cacheDir: string | undefined;
  /** Aborts when the client is closed. */
  closing: AbortSignal;
}

/** Touches nothing before the first call. */
export type OpenCacheControl = (settings: CacheControlSettings) => CacheControl;
