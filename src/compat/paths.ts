import { isXetError } from '../core/errors.ts';
import { checkPath, resolveUrl } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';

/** True if a repository can contain a file with this path. */
export function isPath(path: string): boolean {
  try {
    return checkPath(path) === path;
  } catch (error) {
    if (isXetError(error, 'INVALID_ARGUMENT')) return false;
    throw error;
  }
}

/** Address of a file's content, or with `raw` of what git stores for it. */
export function fileUrl(hubUrl: string, repo: RepoId, revision: string, path: string, raw: boolean): string {
  return resolveUrl(hubUrl, repo, revision, path, raw ? 'raw' : 'resolve');
}
