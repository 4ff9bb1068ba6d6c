import type { CacheStores } from '../cache/local-caches.ts';
import type { Verified } from '../core/content-hash.ts';
import { XetError } from '../core/errors.ts';
import type { OnProgress } from '../core/progress.ts';
import type { RepoDesignation, RepoType } from '../hub/types.ts';
import { clearCaches, measureCaches, overLimit, pruneChunks, totalBytes } from './maintenance.ts';
import type { CacheProblem, XetkitCacheUsage } from './usage.ts';

/** A revision of a repository that is in the Hub cache folder. */
export interface RevisionUsage {
  /** 40 hexadecimal digits. */
  commit: string;
  /** Branches and tags that stand for it. None: nothing but its commit names it, and a prune takes it away. */
  refs: string[];
  /** Bytes of its files, equal ones counted once, also of those that other revisions have as well. */
  bytes: number;
  /** Number of files. */
  fileCount: number;
  /** Milliseconds since 1970. */
  lastModifiedMs: number;
}

/** A repository that is in the Hub cache folder. */
export interface RepoUsage {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: string;
  /** Python's client also keeps kernels, which xetkit does not fetch. */
  type: RepoType | 'kernel';
  /** Its folder. */
  folder: string;
  /** Bytes of the files of all revisions, equal ones counted once. */
  bytes: number;
  /** Number of files with different content. */
  blobCount: number;
  /** Bytes that revisions have in common: so much more would be on the disk if each had its own files. */
  sharedBytes: number;
  /** Bytes of content that no revision uses. */
  unusedBytes: number;
  /** Milliseconds since 1970. */
  lastAccessedMs: number;
  /** Milliseconds since 1970. */
  lastModifiedMs: number;
  /** Those that are here, whole or in part. */
  revisions: RevisionUsage[];
}

/** What is kept on this machine. Sizes in the Hub cache folder are lengths of files; the tiers count blocks of the disk. */
export interface CacheUsage {
  /** The Hub cache folder, which other Hub clients use as well; undefined where there is no file system. */
  folder: string | undefined;
  /** What is in the Hub cache folder, by repository. */
  repos: RepoUsage[];
  /** Downloads that are under way or were broken off. */
  unfinished: { localPath: string; bytes: number }[];
  /** Bytes of content in the Hub cache folder, each file counted once, also of what is unused or unfinished. */
  hubBytes: number;
  /** What xetkit alone keeps. */
  xetkit: XetkitCacheUsage;
  /** Bytes of all of it. */
  totalBytes: number;
  /** What {@link CacheControl.prune} would free now, in bytes, and how many revisions would go. */
  prunable: { bytes: number; revisions: number };
  /** What is damaged, or does not belong there. A prune mends most of it. */
  warnings: CacheProblem[];
}

/** How much may stay. */
export interface PruneCacheOptions {
  /** What the chunks of reads that left no file may still take, in bytes. Default: the client's own limit for them. */
  maxBytes?: number;
  /** Whether revisions go that neither a branch nor a tag stands for. Default: true. */
  detached?: boolean;
  /** Only says what would be removed. Default: false. */
  dryRun?: boolean;
  /** Stops it; what is gone by then stays gone. */
  signal?: AbortSignal;
}

/** How to remove. */
export interface RemoveCachedOptions {
  /** Only says what would be removed. Default: false. */
  dryRun?: boolean;
  /** Stops it; what is gone by then stays gone. */
  signal?: AbortSignal;
}

/**
 * What to remove: a repository (`'owner/name'`), one revision of it (`'owner/name@main'`, `'owner/name@<commit>'`), or
 * a commit in whichever repository it is. Commits may be cut short, to seven digits or more.
 */
export type CacheTarget = string | { repo: RepoDesignation; revision?: string };

/**
 * What sort of thing goes: links of snapshots, whole snapshots, refs, notes, repositories, content, broken downloads,
 * or content that repositories share.
 */
export type RemovalKind = 'link' | 'snapshot' | 'ref' | 'note' | 'repo' | 'blob' | 'unfinished' | 'shared';

/** One thing that goes. */
export interface PlannedRemoval {
  /** What sort of thing it is. */
  kind: RemovalKind;
  /** Where it is. */
  localPath: string;
  /** Bytes on the disk that this frees; where several things hold the same bytes, the last one does. */
  bytes: number;
}

/** What was removed or, after a dry run, what would be. */
export interface RemovalReport {
  /** Whether this only says what would go. */
  dryRun: boolean;
  /** Bytes, those of chunks included. */
  freedBytes: number;
  /** Bytes of chunks of reads that left no file. A dry run tells the least: chunks go by the entry. */
  chunkBytes: number;
  /** Revisions that go. What they share with others stays, so they may free less than their size. */
  revisions: { repo: string; commit: string; refs: string[]; bytes: number }[];
  /** All that goes from the Hub cache folder, in its order. */
  removals: PlannedRemoval[];
  /** What could not be removed, or looked at. */
  failures: CacheProblem[];
}

/** What a look at one file of the Hub cache folder showed. */
export interface CheckedBlob {
  /** As in `datasets/owner/name`. */
  repo: string;
  /** Where it is. */
  localPath: string;
  /** What it should be; empty if that is not known. */
  etag: string;
  /** Bytes. */
  size: number;
  /**
   * How it was found to be right; `'wrong'` if it is not; `'missing'` if snapshots lead to it and it is not there;
   * `'unknown'` if nothing says what it should be; `'unreadable'` if this user may not read it.
   */
  verdict: Verified | 'wrong' | 'missing' | 'unknown' | 'unreadable';
  /** Paths in snapshots that have this content; of all repositories, if it was removed from what they share. */
  snapshotPaths: string[];
  /** Whether it was removed, with all that led to it, so that the next download fetches it. */
  removed: boolean;
  /** Why it could not be removed. */
  failure?: string;
}

/** What to hash, and what to do with what is wrong. */
export interface VerifyCacheOptions {
  /** Only these. Default: all repositories, and what is remembered of how files are built. */
  repos?: readonly RepoDesignation[];
  /** Removes what is wrong, and the links to it, so that the next download fetches it. Default: false. */
  repair?: boolean;
  /** Stops it between and within files. */
  signal?: AbortSignal;
  /** Called after each file. */
  onFile?: (checked: CheckedBlob) => void;
  /** Called with the progress over all files. */
  onProgress?: OnProgress;
}

/** What hashing all of it showed. */
export interface VerifyReport {
  /** Number of files that were hashed. */
  checked: number;
  /** Their bytes. */
  bytes: number;
  /** What is wrong or missing. With `repair`, all of it is gone that is not said to have failed. */
  wrong: CheckedBlob[];
  /** What nothing here says the hash of. */
  unknown: CheckedBlob[];
  /** Files that could not be read. Unreadable folders are listed in the warnings, as `unreadable`. */
  unreadable: CheckedBlob[];
  /** Recipes that were looked at, and how many of them were damaged: those are gone. */
  recipes: { checked: number; dropped: number };
  /** What else is damaged, or does not belong there. */
  warnings: CacheProblem[];
}

/** Looks after what is kept on this machine. */
export interface CacheControl {
  /** What there is, how much it takes, and how much of it {@link prune} would free. Changes nothing. */
  usage(options?: { signal?: AbortSignal }): Promise<CacheUsage>;
  /**
   * Removes what nothing needs: chunks beyond their limit, least recently used first; then, in the Hub cache folder,
   * revisions that neither a branch nor a tag stands for, downloads that were broken off, content that no
   * revision uses, and links that lead nowhere. What a ref stands for stays, and so does what somebody is at.
   */
  prune(options?: PruneCacheOptions): Promise<RemovalReport>;
  /** Removes repositories and revisions from the Hub cache folder. Throws `INVALID_ARGUMENT` for what is not there. */
  remove(targets: CacheTarget | readonly CacheTarget[], options?: RemoveCachedOptions): Promise<RemovalReport>;
  /**
   * Hashes all files of the Hub cache folder again, whatever is remembered of them, and asks no server; those that
   * are right need no hashing before the next download. Chunks are not looked at: each is hashed whenever it is used.
   */
  verify(options?: VerifyCacheOptions): Promise<VerifyReport>;
  /** Removes all that xetkit alone keeps: chunks, recipes, and which files were verified. Files stay. */
  clear(): Promise<{ freedBytes: number }>;
}

export interface CacheControlSettings {
  stores: CacheStores;
  /** The Hub cache folder. */
  cacheDir: string | undefined;
  /** Aborts when the client is closed. */
  closing: AbortSignal;
}

/** Touches nothing before the first call. */
export type OpenCacheControl = (settings: CacheControlSettings) => CacheControl;

/** Where there is no file system, there are only the tiers. */
export const openWebCacheControl: OpenCacheControl = ({ stores, closing }) => ({
  async usage({ signal } = {}) {
    for (const each of [closing, signal]) each?.throwIfAborted();
    const { usage, warnings } = await measureCaches(stores);
    return {
      folder: undefined,
      repos: [],
      unfinished: [],
      hubBytes: 0,
      xetkit: usage,
      totalBytes: totalBytes(usage),
      prunable: { bytes: overLimit(usage.chunks, usage.chunks?.maxBytes), revisions: 0 },
      warnings,
    };
  },
  async prune({ maxBytes, dryRun = false, signal } = {}) {
    for (const each of [closing, signal]) each?.throwIfAborted();
    const { bytes, failures } = await pruneChunks(stores, maxBytes, dryRun);
    return { dryRun, freedBytes: bytes, chunkBytes: bytes, revisions: [], removals: [], failures };
  },
  remove: () => Promise.reject(noHubFolder('to remove from it', 'call cache.prune({ maxBytes }) or cache.clear()')),
  verify: () => Promise.reject(noHubFolder('to verify', 'just use it')),
  async clear() {
    closing.throwIfAborted();
    return { freedBytes: await clearCaches(stores) };
  },
});

function noHubFolder(what: string, todo: string): XetError {
  return new XetError(
    'UNSUPPORTED',
    `There is no Hub cache folder in a browser, so there is nothing ${what}. What is kept here are chunks and how files are ` +
      `built, checked whenever they are used: ${todo}.`,
  );
}
