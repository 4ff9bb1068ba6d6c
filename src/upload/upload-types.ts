import type { LocalCaches } from '../cache/local-caches.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { MemoryBudget } from '../core/budget.ts';
import type { MakeContentHash } from '../core/content-hash.ts';
import type { OnProgress } from '../core/progress.ts';
import type { Http } from '../http/http.ts';
import type { HubClient } from '../hub/client.ts';
import type { RepoDesignation } from '../hub/types.ts';
import type { FolderPatterns, LocalFiles, UploadItems } from './gather.ts';
import type { MakeUploadHash } from './upload-hash.ts';
import type { MakeBody } from './xorb-upload.ts';

/** Options of `upload`. */
export interface UploadOptions {
  /** Repository, such as `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /**
   * One or more things to upload: `{ path, content }`, Files or URLs; in Node, Deno and Bun also local files and folders by
   * path. Default: none, for a commit that only deletes.
   */
  files?: UploadItems;
  /** Patterns of the files to take from folders, in Python's `fnmatch` syntax, on paths relative to the folder. Default: all. */
  include?: FolderPatterns['include'];
  /** Patterns of the files to leave out of folders; they win over `include`. Default: none. */
  exclude?: FolderPatterns['exclude'];
  /**
   * Paths to delete in the same commit; a folder ends with `/`. Uploaded files are kept, so a folder that receives files is
   * replaced by them.
   */
  deletions?: string | readonly string[];
  /**
   * Patterns of files to delete in the same commit, in the syntax of `include`, on paths in the repository. Uploaded files
   * and `.gitattributes` are kept.
   */
  deletePatterns?: string | readonly string[];
  /**
   * Uploads what is refused by default: file system roots, home folders, and files behind links that lead out of a
   * folder. Default: false.
   */
  force?: boolean;
  /** Branch to commit to, which must exist. Default: `main`. Buckets have no branches and no commits. */
  branch?: string;
  /** First line of the commit message. Default: a summary of the upload. */
  title?: string;
  /** Body of the commit message. */
  description?: string;
  /** Commit that the branch must point to. If it does not, the upload rejects with `CONFLICT` and commits nothing. */
  parentCommit?: string;
  /** Opens a pull request instead of committing to the branch. Default: false. */
  createPr?: boolean;
  /** Aborts the upload: the promise rejects with the signal's reason. Data stored by then is not sent again. */
  signal?: AbortSignal;
  /** Called a few times a second with the progress, and at last with phase `done`. */
  onProgress?: OnProgress;
}

/** One commit of an upload. */
export interface UploadCommit {
  /** 40 hexadecimal digits. */
  oid: string;
  /** URL of its page. */
  url: string;
  /** First line of the message. */
  title: string;
}

/** Result of one file. */
export interface UploadedFileInfo {
  /** Path in the repository. */
  path: string;
  /** Bytes; undefined for an ignored stream, which is not read. */
  size: number | undefined;
  /** SHA-256 of a large file, in lower-case hexadecimal. */
  sha256: string | undefined;
  /** Xet hash of a large file. */
  xetHash: string | undefined;
  /** `lfs` for files in the CAS, as all of a bucket are; `regular` for files in git itself. */
  mode: 'lfs' | 'regular';
  /** `unchanged` files were in the repository already; `ignored` ones are excluded by its `.gitignore`. */
  status: 'uploaded' | 'unchanged' | 'ignored';
}

/** Result of `upload`. */
export interface UploadResult {
  /**
   * Commit that contains the upload: the last one made, or the head of the branch if nothing changed. Empty for a bucket.
   */
  commit: string;
  /** URL of the last commit's page; undefined if nothing changed. */
  url: string | undefined;
  /** URL of the pull request, with `createPr`. */
  pullRequestUrl: string | undefined;
  /** Commits made: usually one, several for more than the Hub accepts at once, none if nothing changed. */
  commits: UploadCommit[];
  /** Results in the order of the files. */
  files: UploadedFileInfo[];
  /** Bytes of all files. */
  bytes: {
    /** Content of all files. */
    total: number;
    /** Content that was stored already and was not sent. */
    deduplicated: number;
    /** Bytes sent for the rest: compressed xorbs, and small files. */
    sent: number;
  };
  /** Number of requests, without those for tokens. */
  requests: number;
  /** Duration of the call in seconds. */
  seconds: number;
}

/** Differences between platforms. */
export interface UploadPlatform {
  makeUploadHash: MakeUploadHash;
  /** Default: bytes are passed to `fetch` as they are. */
  makeBody?: MakeBody;
  /** Access to local files; undefined in browsers. */
  local?: LocalFiles;
}

/** Parts of the client that uploads use. */
export interface UploadContext {
  http: Http;
  hub: HubClient;
  pool: CodecPool;
  budget: MemoryBudget;
  caches: LocalCaches;
  /** Maximum attempts per request. */
  attempts: number;
  makeContentHash: MakeContentHash;
  onWarning: (message: string) => void;
}
