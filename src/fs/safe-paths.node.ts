import { resolve, sep } from 'node:path';
import { XetError } from '../core/errors.ts';
import { checkPath, isCommit } from '../hub/repo.ts';
import type { CommitId, RepoId, RepoPath } from '../hub/types.ts';
import { realpath } from './disk.node.ts';

// An entity tag becomes the name of a file: letters and digits, and what other servers put between them. No dots,
// or a tag could name an unfinished file; short enough that endings still fit into the name of a file.
const ETAG = /^[A-Za-z0-9][A-Za-z0-9_+=-]{0,149}$/;

/** A repository's folder in the Hub cache folder. */
export function repoFolderName(repo: RepoId): string {
  return [`${repo.type}s`, ...repo.name.split('/')].join('--');
}

/** An entity tag that is fit to name a file. Throws `PROTOCOL` for others: they come from servers. */
export function checkEtag(etag: string): string {
  if (!ETAG.test(etag)) {
    throw new XetError('PROTOCOL', `The server named the content '${etag.slice(0, 80)}', which cannot name a file.`);
  }
  return etag;
}

/** A commit that is fit to name a folder. Throws `PROTOCOL` for anything but 40 hex digits. */
export function checkCommit(commit: string): CommitId {
  if (!isCommit(commit)) throw new XetError('PROTOCOL', `Not a commit: '${commit.slice(0, 80)}'.`);
  return commit;
}

/** Joins a path of a repository to a folder, and makes sure that it stays there. */
export function within(folder: string, path: RepoPath): string {
  const root = resolve(folder);
  const target = resolve(root, ...path.split('/'));
  if (!isBelow(target, root)) {
    throw new XetError('INVALID_ARGUMENT', `'${path}' would leave the folder ${root}.`);
  }
  return target;
}

/** The same for a path of which it is not known whether it could be one. */
export function tryWithin(folder: string, path: string): string | undefined {
  try {
    return within(folder, checkPath(path));
  } catch {
    return undefined;
  }
}

export function isBelow(path: string, root: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** Resolves all links of a path; undefined if the target does not exist. */
export function realPath(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}
