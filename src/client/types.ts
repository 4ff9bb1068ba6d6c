import type { OnProgress } from '../core/progress.ts';
import type { RepoDesignation } from '../hub/types.ts';

/** One file of a repository. */
export interface FileTarget {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /** Path in the repository. */
  path: string;
  /** Branch, tag or commit. Default: `main`. */
  revision?: string;
  /** Stops it: the promise rejects with its reason. What was fetched by then is kept for the next time. */
  signal?: AbortSignal;
}

/** Which file to open. */
export interface OpenTarget extends FileTarget {
  /**
   * Whether the first 64 KiB of a file that is not in a CAS come along with what the Hub says of it, so that a short one
   * costs one request. Default: true.
   */
  beginning?: boolean;
}

/** What to list. */
export interface ListOptions {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /** Branch, tag or commit. Default: `main`. */
  revision?: string;
  /** Folder to list. Default: the root. */
  path?: string;
  /** With everything below. Default: false. */
  recursive?: boolean;
  /** Ends the listing: the next step rejects with its reason. */
  signal?: AbortSignal;
}

/** Which file to fetch, and where to. */
export interface DownloadFileOptions extends FileTarget {
  /** Folder that mirrors the repository. Default: the Hub cache folder. */
  localDir?: string;
  /** Downloads again what is already there. Default: false. */
  force?: boolean;
  /** Told a few times a second how far it is, last of all that it is done. */
  onProgress?: OnProgress;
}
