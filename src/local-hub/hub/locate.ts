import { HubError } from '../hub-error.ts';
import type { Repo } from '../repo/repo.ts';
import type { TreeFile } from '../repo/tree.ts';

/** A commit and a path in it. */
export interface Location {
  commit: string;
  path: string;
}

/** The commit of a revision. `main` of a repository without commits has none. */
export async function findCommit(repo: Repo, revision: string): Promise<string> {
  const commit = await repo.resolve(revision);
  if (commit === undefined) throw new HubError(404, `Invalid rev id: ${revision}`, 'RevisionNotFound');
  return commit;
}

/**
 * Splits what follows `resolve`, `tree` and the like into revision and path. Clients escape the slashes of a
 * revision, or do not: then the longest revision that exists is meant, or else `refs/kind/name` as a whole.
 */
export async function splitRevision(repo: Repo, segments: string[]): Promise<Location> {
  for (let length = Math.min(segments.length, 8); length > 0; length--) {
    const commit = await repo.resolve(segments.slice(0, length).join('/'));
    if (commit !== undefined) return { commit, path: cleanPath(segments.slice(length)) };
  }
  const revision = segments[0] === 'refs' ? segments.slice(0, 3).join('/') : (segments[0] ?? '');
  throw new HubError(404, `Invalid rev id: ${revision}`, 'RevisionNotFound');
}

function cleanPath(segments: string[]): string {
  const end = segments.findLastIndex((segment) => segment !== '');
  return segments.slice(0, end + 1).join('/');
}

export async function findFile(repo: Repo, { commit, path }: Location): Promise<TreeFile> {
  const file = (await repo.tree(commit)).get(path);
  if (!file) throw new HubError(404, 'Entry not found', 'EntryNotFound', { 'x-repo-commit': commit });
  return file;
}
