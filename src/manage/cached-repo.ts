import type { SharedBlob } from '../files/disk/shared-blobs.node.ts';
import type { CacheProblem, RepoUsage } from './types.ts';

/** A file of a revision in the Hub cache folder. */
export interface CachedFile {
  /** Path in the repository. */
  file: string;
  /** Path on this machine, in the snapshot. */
  path: string;
  /** Target of the snapshot's link, or the file itself if it is a copy. */
  blob: string;
  /** Size in bytes. */
  size: number;
  /** Milliseconds since 1970. */
  lastAccessed: number;
  /** Milliseconds since 1970. */
  lastModified: number;
}

/** A revision in the Hub cache folder. */
export interface CachedRevision {
  commit: string;
  /** Folder of the snapshot. */
  path: string;
  /** Branches and tags that point to it; none if it was requested by its commit, or superseded. */
  refs: string[];
  files: CachedFile[];
  /** Size of its files in bytes, equal files counted once. */
  size: number;
  /** Milliseconds since 1970. */
  lastModified: number;
}

/** A repository in the Hub cache folder. */
export interface CachedRepo {
  type: RepoUsage['type'];
  /** `owner/name`. */
  name: string;
  /** Its folder. */
  path: string;
  revisions: CachedRevision[];
  /** Size of the files of all revisions in bytes, equal files counted once. */
  size: number;
  /** Number of files with different content. */
  blobs: number;
  /** Bytes saved because revisions share files. */
  sharedBytes: number;
  /** Milliseconds since 1970. */
  lastAccessed: number;
  /** Milliseconds since 1970. */
  lastModified: number;
  /** Content that no revision uses. */
  unused: SharedBlob[];
  /** Paths of broken links in snapshots. */
  brokenLinks: string[];
  /** Local paths of refs to commits that are not present. */
  danglingRefs: string[];
}

/** Contents of the Hub cache folder. */
export interface CacheScan {
  path: string;
  repos: CachedRepo[];
  /** Size of all files of revisions and of all shared content in bytes, each counted once. */
  size: number;
  /** Incomplete downloads, running or interrupted. */
  unfinished: SharedBlob[];
  /** Content that repositories may share, by xet hash. */
  shared: SharedBlob[];
  /** Damaged or foreign files. */
  warnings: CacheProblem[];
}

export function filesOf(repo: CachedRepo): CachedFile[] {
  return repo.revisions.flatMap(({ files }) => files);
}

/** Returns the name of a repository with its type, as in `datasets/owner/name`. */
export function cachedRepoText({ type, name }: Pick<CachedRepo, 'type' | 'name'>): string {
  return type === 'model' ? name : `${type}s/${name}`;
}
