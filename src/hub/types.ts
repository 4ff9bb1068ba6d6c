import { badResponse, type XetError } from '../core/errors.ts';

declare const kind: unique symbol;
/** A path in a repository that was checked: it can be joined to a folder and sent to a Hub. Made by `checkPath`. */
export type RepoPath = string & { readonly [kind]: 'path in a repository' };
/** A full commit id, 40 hexadecimal digits. Made by `isCommit` and `checkCommit`. */
export type CommitId = string & { readonly [kind]: 'commit' };

/** A file or folder of a repository. */
export interface ListEntry {
  /** Path in the repository. */
  path: string;
  /** Folders have no content of their own. */
  type: 'file' | 'directory';
  /** Bytes; 0 for a directory. */
  size: number;
  /** Git object id; empty in a bucket. */
  oid: string;
  /** sha256 of the content, for files kept outside of git. */
  sha256: string | undefined;
  /** Undefined for folders, and for files that the Hub keeps in git. */
  xetHash: string | undefined;
  /** Modification time of a file in a bucket, in milliseconds since 1970, if its uploader gave one. */
  mtimeMs?: number;
}

/** An answer lacks what was asked for. */
export function incomplete(url: string, wanted: string): XetError {
  return badResponse(url, `did not answer with ${wanted}`);
}

/** A name of others, fit to be shown. */
export function shown(path: string): string {
  return path.slice(0, 120).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

/** Type of a repository. */
export type RepoType = 'model' | 'dataset' | 'space' | 'kernel' | 'bucket';

/**
 * A repository: `'owner/name'` is a model, and `'datasets/…'`, `'spaces/…'`, `'kernels/…'` and `'buckets/…'` say what else
 * it is. Buckets have no revisions and no commits.
 */
export type RepoDesignation = string | { type: RepoType; name: string };

/** A repository by type and name. */
export interface RepoId {
  /** Its type. */
  type: RepoType;
  /** `owner/name`; a few old models have no owner. */
  name: string;
}
