import { XetError } from '../core/errors.ts';
import { parseRepo } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import type { CompatRepoDesignation } from './types.ts';

/** Those that are told apart from a model by their beginning, and what is written by mistake in its place. */
const SINGULAR = /^(dataset|space|bucket|kernel)\//;
const ELSEWHERE = /^(bucket|kernel)s\//;

/**
 * The repository of a call. What is no repository at all is an `INVALID_ARGUMENT`; kinds of repositories that xetkit
 * does not know are `UNSUPPORTED`, and so left to the original package.
 */
export function repoOf(repo: CompatRepoDesignation): RepoId {
  if (repo === undefined)
    throw new XetError('INVALID_ARGUMENT', "The call needs 'repo'. Write { repo: 'owner/name' }.");
  const kind = typeof repo === 'string' ? ELSEWHERE.exec(repo)?.[1] : repo.type;
  if (kind === 'bucket' || kind === 'kernel') {
    throw new XetError('UNSUPPORTED', `xetkit does not fetch from ${kind}s. Use @huggingface/hub for them.`);
  }
  if (typeof repo === 'string') {
    const singular = SINGULAR.exec(repo)?.[1];
    if (singular !== undefined) throw invalid(`Write '${singular}s/', not '${singular}/'`, repo);
    if (repo.startsWith('models/')) throw invalid("A model is named without 'models/'", repo);
    return parseRepo(repo);
  }
  return parseRepo({ type: repo.type as RepoId['type'], name: repo.name });
}

function invalid(advice: string, repo: string): XetError {
  return new XetError('INVALID_ARGUMENT', `Not a repository: '${repo.slice(0, 200)}'. ${advice}.`);
}

/** The owner and the name, for calls that make or remove repositories. */
export function ownedRepo(repo: CompatRepoDesignation): RepoId & { owner: string; bareName: string } {
  const id = repoOf(repo);
  const [owner = '', bareName] = id.name.split('/');
  if (bareName === undefined) throw invalid("Write 'owner/name'", id.name);
  return { ...id, owner, bareName };
}
