import type { OnProgress } from '../core/progress.ts';
import type { RequestParams } from './compat-http.ts';
import type {
  AbortParams,
  CachedRepoInfo,
  CompatRepoDesignation,
  CompatRepoType,
  FileParams,
  HFCacheInfo,
} from './types.ts';

// The calls that need a file system, as they are called. Who has one fills them.

/** The words of Python's client, for what the words of `@huggingface/hub` do not say. */
export interface PythonParams extends AbortParams {
  /** `owner/name`. */
  repoId: string;
  /** Default: `'model'`. */
  repoType?: 'model' | 'dataset' | 'space' | null;
  /** Branch, tag or commit. Default: `main`. */
  revision?: string | null;
  /** Hub cache folder. Default: as `HF_HUB_CACHE` and `HF_HOME` say. */
  cacheDir?: string;
  /** Folder that mirrors the repository, in place of the cache folder. */
  localDir?: string;
  /** True, and the default: `HF_TOKEN`, or the token file. False: none. */
  token?: string | boolean | null;
  /** Fetches again what is already there. Default: false. */
  forceDownload?: boolean;
  /** Asks no server: what is not here fails with `OFFLINE`. Default: false. */
  localFilesOnly?: boolean;
  /** Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string;
  fetch?: typeof fetch;
  onProgress?: OnProgress;
}

export interface HfHubDownloadParams extends PythonParams {
  /** Path in the repository. */
  filename: string;
  /** Folder in the repository in which `filename` is. */
  subfolder?: string | null;
}

/** Selection of files of a repository. */
export interface Patterns {
  /** Only files that match one of these, as Python's `fnmatch` reads them. Default: all. */
  allowPatterns?: string | readonly string[] | null;
  /** No files that match one of these. */
  ignorePatterns?: string | readonly string[] | null;
  /** Requests at once. Default: as many as help. */
  maxWorkers?: number;
}

/** As in `@huggingface/hub`, and what Python's client can do beyond that. */
export type SnapshotParams = RequestParams &
  Patterns & {
    repo: CompatRepoDesignation;
    cacheDir?: string;
    revision?: string;
    localDir?: string;
    forceDownload?: boolean;
    localFilesOnly?: boolean;
    onProgress?: OnProgress;
    repoId?: undefined;
  };

/** As in Python. */
export type PythonSnapshotParams = PythonParams & Patterns & { repo?: undefined };

export type DownloadToCacheParams = FileParams & RequestParams & { raw?: boolean; cacheDir?: string };

export interface FileSystemCalls {
  downloadFileToCacheDir(params: DownloadToCacheParams): Promise<string>;
  snapshotDownload(params: SnapshotParams | PythonSnapshotParams): Promise<string>;
  hfHubDownload(params: HfHubDownloadParams): Promise<string>;
  scanCacheDir(cacheDir?: string): Promise<HFCacheInfo>;
  scanCachedRepo(repoPath: string): Promise<CachedRepoInfo>;
  getHFHubCachePath(): string;
}

/** Separator between the parts of a repository's name in its folder name. */
export const REPO_ID_SEPARATOR: string = '--';
/** A commit in full. */
export const REGEX_COMMIT_HASH: RegExp = /^[0-9a-f]{40}$/;

const TYPES = ['model', 'dataset', 'space', 'bucket', 'kernel'] as const;

/** Name of a repository's folder in the cache folder. */
export function getRepoFolderName(repo: { name: string; type: CompatRepoType }): string {
  const { name, type } = repo ?? {};
  if (typeof name !== 'string' || !TYPES.includes(type)) {
    throw new TypeError("getRepoFolderName takes a repository: { type: 'model', name: 'owner/name' }.");
  }
  return [`${type}s`, ...name.split('/')].join(REPO_ID_SEPARATOR);
}

/** The type of repository that the beginning of such a name stands for. */
export function parseRepoType(plural: string): CompatRepoType {
  const type = TYPES.find((one) => plural === `${one}s`);
  if (type === undefined)
    throw new TypeError(
      `Not a type of repository: '${String(plural)}'. Use one of ${TYPES.map((one) => `'${one}s'`).join(', ')}.`,
    );
  return type;
}
