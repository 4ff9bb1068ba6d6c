import { XetError } from '../core/errors.ts';
import type { RepoDesignation } from '../hub/types.ts';
import type { CacheTarget } from './types.ts';

/** Names of a repository in the Hub cache folder. */
export interface NamedRepo {
  type: string;
  /** `owner/name`. */
  name: string;
  revisions: readonly { commit: string; refs: readonly string[] }[];
}

/** A resolved target: a whole repository, or one commit of it. */
export interface FoundTarget<R> {
  repo: R;
  commit: string | undefined;
}

/** A full or abbreviated commit. */
const COMMIT_START = /^[0-9a-f]{7,40}$/i;
const MAX_NAMED = 5;

/**
 * Resolves targets among the repositories in the cache. Throws `INVALID_ARGUMENT` for absent or ambiguous ones,
 * so that nothing is removed by mistake.
 *
 * @param folder the cache folder, for messages.
 */
export function findTargets<R extends NamedRepo>(
  repos: readonly R[],
  targets: readonly CacheTarget[],
  folder: string,
): FoundTarget<R>[] {
  return targets.flatMap((target) => {
    if (typeof target !== 'string') return [atRevision(findRepo(repos, target.repo, folder), target.revision)];
    const at = target.indexOf('@');
    if (at >= 0) return [atRevision(findRepo(repos, target.slice(0, at), folder), target.slice(at + 1))];
    const repo = spelt(repos, target);
    if (repo) return [{ repo, commit: undefined }];
    return COMMIT_START.test(target) ? withCommit(repos, target, folder) : absent(repos, target, folder);
  });
}

/** Finds a repository. Throws `INVALID_ARGUMENT` if it is absent. */
export function findRepo<R extends NamedRepo>(repos: readonly R[], wanted: RepoDesignation, folder: string): R {
  if (typeof wanted !== 'string' && typeof wanted?.name !== 'string') {
    throw new XetError('INVALID_ARGUMENT', "A repository in the cache is named 'owner/name' or { type, name }.");
  }
  const text = typeof wanted === 'string' ? wanted : `${wanted.type}s/${wanted.name}`;
  return spelt(repos, text) ?? absent(repos, text, folder);
}

/** Finds a repository by any spelling that Hub clients use, xetkit's own first. */
function spelt<R extends NamedRepo>(repos: readonly R[], text: string): R | undefined {
  const ways = [
    ({ type, name }: R) => (type === 'model' ? name : `${type}s/${name}`),
    ({ type, name }: R) => `${type}s/${name}`,
    ({ type, name }: R) => `${type}/${name}`,
  ];
  for (const way of ways) {
    const found = repos.find((repo) => way(repo) === text);
    if (found) return found;
  }
  return undefined;
}

function atRevision<R extends NamedRepo>(repo: R, revision: string | undefined): FoundTarget<R> {
  if (revision === undefined) return { repo, commit: undefined };
  const { revisions } = repo;
  const named = revisions.find(({ refs }) => refs.includes(revision));
  const commits = named ? [named.commit] : commitsFrom(revisions, revision);
  const [commit] = commits;
  if (commit !== undefined && commits.length === 1) return { repo, commit };
  const here = revisions.slice(0, MAX_NAMED).map(({ commit: each, refs }) => [each, ...refs].join(' = '));
  const what = commits.length > 1 ? 'several revisions that begin with' : 'no revision';
  throw new XetError(
    'INVALID_ARGUMENT',
    `${textOf(repo)} has ${what} '${revision}' here. It has: ${here.join(', ') || 'none'}${revisions.length > MAX_NAMED ? ', …' : ''}.`,
  );
}

function withCommit<R extends NamedRepo>(repos: readonly R[], start: string, folder: string): FoundTarget<R>[] {
  const found = repos.flatMap((repo) => commitsFrom(repo.revisions, start).map((commit) => ({ repo, commit })));
  const commits = new Set(found.map(({ commit }) => commit));
  if (commits.size === 1) return found;
  const where = found.slice(0, MAX_NAMED).map(({ repo, commit }) => `${textOf(repo)}@${commit}`);
  throw new XetError(
    'INVALID_ARGUMENT',
    commits.size === 0
      ? `No commit of a repository in the cache folder ${folder} begins with ${start}: 'xetkit cache ls --revisions' lists them.`
      : `Several commits begin with ${start}, write more of the one that is meant: ${where.join(', ')}.`,
  );
}

function commitsFrom(revisions: NamedRepo['revisions'], start: string): string[] {
  const exact = revisions.filter(({ commit }) => commit === start);
  const wanted = start.toLowerCase();
  const begun = COMMIT_START.test(start) ? revisions.filter(({ commit }) => commit.startsWith(wanted)) : [];
  return (exact.length > 0 ? exact : begun).map(({ commit }) => commit);
}

function absent(repos: readonly NamedRepo[], text: string, folder: string): never {
  const last = (name: string) => name.toLowerCase().split('/').at(-1);
  const alike = repos.filter(({ name }) => last(name) === last(text)).slice(0, MAX_NAMED);
  const hint =
    alike.length > 0 ? `There is ${alike.map(textOf).join(', ')}.` : "'xetkit cache ls' lists what is there.";
  throw new XetError('INVALID_ARGUMENT', `Not in the cache folder ${folder}: '${text.slice(0, 200)}'. ${hint}`);
}

function textOf({ type, name }: NamedRepo): string {
  return type === 'model' ? name : `${type}s/${name}`;
}
