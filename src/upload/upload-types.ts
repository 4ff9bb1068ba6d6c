import type { OnProgress } from '../core/progress.ts';
import type { RepoDesignation } from '../hub/repo.ts';
import type { FolderPatterns, UploadItems } from './gather.ts';

/** What to upload, and how to commit it. */
export interface UploadOptions {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /**
   * One item or several: files with the paths that they are to have, Files, addresses; in Node, Deno and Bun also local
   * files and folders by their paths. Default: nothing, for an upload that only deletes.
   */
  files?: UploadItems;
  /** Which files of folders are taken, as Python's `fnmatch` reads patterns, on paths from the folder on. Default: all. */
  include?: FolderPatterns['include'];
  /** Which files of folders are left out; it wins over `include`. Default: none. */
  exclude?: FolderPatterns['exclude'];
  /**
   * Paths that are deleted in the same commit; a folder ends in `/`. What is uploaded stays: with a folder into which
   * files go, it deletes the rest of that folder.
   */
  deletions?: string | readonly string[];
  /**
   * Patterns of files that are deleted in the same commit, read as those of `include` on paths in the repository. What is
   * uploaded stays, and so does `.gitattributes`.
   */
  deletePatterns?: string | readonly string[];
  /**
   * Uploads what is refused or left out by default: the root of a file system, a home folder, and files behind links that
   * lead out of a folder. Default: false.
   */
  force?: boolean;
  /** Branch that is committed to. Default: `main`. It must exist. */
  branch?: string;
  /** First line of the commit. Default: what is uploaded, in short. */
  title?: string;
  /** The rest of the commit's message. */
  description?: string;
  /** Commit that the branch must be at; where it is not, the upload is `CONFLICT` and commits nothing. */
  parentCommit?: string;
  /** Opens a pull request for it in place of committing to the branch. Default: false. */
  createPr?: boolean;
  /** Stops it: the promise rejects with its reason. What is stored by then is not sent again. */
  signal?: AbortSignal;
  /** Told a few times a second how far it is, last of all that it is done. */
  onProgress?: OnProgress;
}

/** One commit of an upload. */
export interface UploadCommit {
  /** 40 hexadecimal digits. */
  oid: string;
  /** Its page. */
  url: string;
  /** First line of its message. */
  title: string;
}

/** What became of one file. */
export interface UploadedFileInfo {
  /** In the repository. */
  path: string;
  /** Bytes; undefined of a stream that was not read, as it is ignored. */
  size: number | undefined;
  /** Of a large file. */
  sha256: string | undefined;
  /** Of a large file. */
  xetHash: string | undefined;
  /** Whether it is kept in the CAS or in git itself. */
  mode: 'lfs' | 'regular';
  /** `unchanged` files are in the repository already; `ignored` ones are left out by its `.gitignore`. */
  status: 'uploaded' | 'unchanged' | 'ignored';
}

/** What an upload did. */
export interface UploadResult {
  /** The commit that has all of it: the last one made, or the head of the branch where nothing had to change. */
  commit: string;
  /** Page of the last commit; undefined where none was made. */
  url: string | undefined;
  /** Page of the pull request, with `createPr`. */
  pullRequestUrl: string | undefined;
  /** The commits that were made: one, unless there is more than the Hub takes at once; none where nothing had to change. */
  commits: UploadCommit[];
  /** In the order in which they were given. */
  files: UploadedFileInfo[];
  /** Bytes, over all files. */
  bytes: {
    /** Content of all files that were read. */
    total: number;
    /** Content that was stored already, and so not sent. */
    deduplicated: number;
    /** What was sent for the rest, compressed, and contents of small files. */
    sent: number;
  };
  /** Requests made. Tokens are not among them. */
  requests: number;
  /** From the call on. */
  seconds: number;
}
