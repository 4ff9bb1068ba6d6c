import { isRepoName } from '../../hub/repo.ts';
import type { RepoDesignation, RepoId, RepoType } from '../../hub/types.ts';

export type { RepoDesignation, RepoId, RepoType };

export { isRepoName };

const TYPES: RepoType[] = ['model', 'dataset', 'space'];

export function isRepoType(type: unknown): type is RepoType {
  return TYPES.some((known) => known === type);
}

/** `models` → `model`, and so on. */
export function typeOfPlural(plural: string | undefined): RepoType | undefined {
  return TYPES.find((type) => `${type}s` === plural);
}

/** Prefix of a repository's name in page URLs. */
export function urlPrefix(type: RepoType): string {
  return type === 'model' ? '' : `${type}s/`;
}

export function parseRepo(repo: RepoDesignation): RepoId {
  const id = typeof repo === 'string' ? parseText(repo) : repo;
  if (!isRepoType(id.type) || !isRepoName(id.name)) throw new TypeError(`Not a repository: ${JSON.stringify(repo)}`);
  return id;
}

function parseText(text: string): RepoId {
  const [first = '', ...rest] = text.split('/');
  const type = typeOfPlural(first);
  return type && rest.length > 0 ? { type, name: rest.join('/') } : { type: 'model', name: text };
}
