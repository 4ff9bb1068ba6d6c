/** The words of `@huggingface/hub`, so that a program compiles with either package. */
export type CompatRepoType = 'space' | 'dataset' | 'model' | 'bucket' | 'kernel';

export interface CompatRepoId {
  name: string;
  type: CompatRepoType;
}

/** `owner/name` is a model; `datasets/…`, `spaces/…`, `buckets/…` and `kernels/…` say what else it is. */
export type RepoFullName =
  | string
  | `spaces/${string}`
  | `datasets/${string}`
  | `buckets/${string}`
  | `kernels/${string}`;

export type CompatRepoDesignation = CompatRepoId | RepoFullName;

export type AccessToken = string;

/** @deprecated Give `accessToken` itself. */
export interface Credentials {
  accessToken: AccessToken;
}

/** A token, in either of two places. */
export interface Access {
  accessToken?: AccessToken;
  /** @deprecated Give `accessToken`. */
  credentials?: Credentials;
}

/** The Hub, the token and the `fetch` of a call. */
export interface HubParams {
  /** Default: `https://huggingface.co`, whatever the environment says. */
  hubUrl?: string;
  /** Every request goes through it. Default: the platform's. */
  fetch?: typeof fetch;
}

/** Cancellation, which `@huggingface/hub` lacks for reads. */
export interface AbortParams {
  /** Ends the call: it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** A file that is asked for. */
export interface FileParams extends HubParams, AbortParams {
  repo: CompatRepoDesignation;
  path: string;
  /** Branch, tag or commit. Default: `main`. */
  revision?: string;
}

/** Xet information of a file. */
export interface XetFileInfo {
  hash: string;
  /** URL of a CAS read token. */
  refreshUrl: URL;
  reconstructionUrl: URL;
}

export interface FileDownloadInfoOutput {
  /** Bytes. */
  size: number;
  /** With its quotes. */
  etag: string;
  xet?: XetFileInfo;
  url: string;
}

/** A read token of a CAS, as the Hub gives it. */
export interface XetReadToken {
  accessToken: string;
  casUrl: string;
  /** End of its validity, in seconds since 1970. */
  exp: number;
}

export interface ParallelDownloadOptions {
  /** Requests for data at once. */
  maxConcurrency?: number;
  /** Bytes in flight at most; no less than 16 MiB are used. */
  maxInFlightBytes?: number;
}

export interface ListFileEntry {
  type: 'file' | 'directory' | 'unknown';
  /** Bytes. */
  size: number;
  path: string;
  oid?: string;
  lfs?: { oid: string; size: number; pointerSize: number };
  xetHash?: string;
  /** Only with `expand`. */
  lastCommit?: { date: string; id: string; title: string };
  uploadedAt?: string;
  /** Only with `expand`. */
  securityFileStatus?: unknown;
}

export interface LfsPathInfo {
  oid: string;
  size: number;
  pointerSize: number;
}

export interface CommitInfo {
  id: string;
  title: string;
  date: Date;
}

export interface SecurityFileStatus {
  status: string;
}

export interface PathInfo {
  path: string;
  type: string;
  oid?: string;
  /** Bytes. */
  size: number;
  lfs?: LfsPathInfo;
  xetHash?: string;
  lastCommit?: CommitInfo;
  uploadedAt?: string;
  securityFileStatus?: SecurityFileStatus;
}

export type ExpandedPathInfo = PathInfo & { lastCommit: CommitInfo; securityFileStatus: SecurityFileStatus };

export interface CachedFileInfo {
  path: string;
  /** Target of the link at `path`. */
  blob: { size: number; path: string; lastModifiedAt: Date; lastAccessedAt: Date };
}

export interface CachedRevisionInfo {
  commitOid: string;
  path: string;
  /** Bytes. */
  size: number;
  files: CachedFileInfo[];
  refs: string[];
  lastModifiedAt: Date;
}

export interface CachedRepoInfo {
  id: CompatRepoId;
  path: string;
  /** Bytes. */
  size: number;
  filesCount: number;
  revisions: CachedRevisionInfo[];
  lastAccessedAt: Date;
  lastModifiedAt: Date;
}

export interface HFCacheInfo {
  /** Bytes. */
  size: number;
  repos: CachedRepoInfo[];
  warnings: Error[];
}

/** The token of a call, in either of its two places. */
export function tokenOf({ accessToken, credentials }: Access): string | undefined {
  return accessToken ?? credentials?.accessToken;
}
