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
  /** Aborts the call, which rejects with its reason. Data fetched by then is kept for the next attempt. */
  signal?: AbortSignal;
}

/** File to open. */
export interface OpenTarget extends FileTarget {
  /**
   * Fetches the first 64 KiB of a file outside the CAS together with its metadata, so that a short file costs one
   * request. Default: true.
   */
  beginning?: boolean;
}

/** Options of `listFiles`. */
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

/** File to download, and its destination. */
export interface DownloadFileOptions extends FileTarget {
  /** Folder that mirrors the repository. Default: the Hub cache folder. */
  localDir?: string;
  /** Downloads again what is already there. Default: false. */
  force?: boolean;
  /** Called a few times per second with the progress, and once at the end. */
  onProgress?: OnProgress;
}
