import { isRepoName, parseRepo } from '../../hub/repo.ts';
import type { RepoDesignation, RepoId, RepoType } from '../../hub/types.ts';

export type { RepoDesignation, RepoId, RepoType };

export { isRepoName, parseRepo };

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
