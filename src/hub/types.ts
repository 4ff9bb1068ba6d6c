import { badResponse, type XetError } from '../core/errors.ts';

/** A file or folder of a repository. */
export interface ListEntry {
  /** Path in the repository. */
  path: string;
  /** Folders have no content of their own. */
  type: 'file' | 'directory';
  /** Bytes; 0 for a directory. */
  size: number;
  /** Git object id. */
  oid: string;
  /** sha256 of the content, for files kept outside of git. */
  sha256: string | undefined;
  /** Undefined for folders, and for files that the Hub keeps in git. */
  xetHash: string | undefined;
}

/** An answer lacks what was asked for. */
export function incomplete(url: string, wanted: string): XetError {
  return badResponse(url, `did not answer with ${wanted}`);
}

/** Type of a repository. */
export type RepoType = 'model' | 'dataset' | 'space';

/** A repository: `'owner/name'` is a model, `'datasets/owner/name'` and `'spaces/owner/name'` say so. */
export type RepoDesignation = string | { type: RepoType; name: string };

/** A repository by type and name. */
export interface RepoId {
  /** Its type. */
  type: RepoType;
  /** `owner/name`; a few old models have no owner. */
  name: string;
}
