import type { Verified } from './download/content-hash.ts';
import type { RepoDesignation } from './hub/repo.ts';
import type { OnProgress } from './progress.ts';

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

/** What a download did. */
export interface DownloadResult {
  /** Path on this machine. */
  path: string;
  /** Bytes. */
  size: number;
  /** The Hub's name for the content: a sha256, or a git hash for small files. */
  etag: string;
  /** The commit it is of, 40 hexadecimal digits. */
  commit: string;
  /** Undefined for files that the Hub keeps in git. */
  xetHash: string | undefined;
  /** How the whole content was checked; there is no success without. */
  verified: Verified;
  /** Bytes that came over the network, and content bytes that were already on this machine. */
  bytes: { network: number; cache: number; local: number };
  /** Requests made for this file alone. Tokens, which files share, are not among them. */
  requests: number;
  /** From its beginning on, of this file alone. */
  seconds: number;
}
