import { isRepoName, parseRepo as parseKnown } from '../../hub/repo.ts';
import type * as hub from '../../hub/types.ts';

/** Type of a repository, or `bucket`. */
type Type = hub.RepoType | 'kernel' | 'bucket';

/** A repository or bucket by type and name. */
interface Id {
  /** Its type. */
  type: Type;
  /** `owner/name`; a few old models have no owner. */
  name: string;
}

/** A repository or bucket: `'owner/name'` is a model, and `'datasets/…'`, `'spaces/…'`, `'kernels/…'`, `'buckets/…'` say so. */
type Designation = string | Id;

export type { Designation as RepoDesignation, Id as RepoId, Type as RepoType };

export { isRepoName };

const TYPES: Type[] = ['model', 'dataset', 'space', 'kernel'];

/** True for a type of repositories; a bucket is none. */
export function isRepoType(type: unknown): type is Type {
  return TYPES.some((known) => known === type);
}

/** True for a name that a bucket can have: always with its owner. */
export function isBucketName(name: string): boolean {
  return isRepoName(name) && name.includes('/');
}

/** `models` → `model`, and so on; `buckets` is none. */
export function typeOfPlural(plural: string | undefined): Type | undefined {
  return TYPES.find((type) => `${type}s` === plural);
}

/** The type that a page URL begins with: `datasets` and the like, nothing for models. */
export function typeOfPrefix(word: string): Type | undefined {
  return word === 'models' ? undefined : typeOfPlural(word);
}

/** Prefix of a repository's name in page URLs. */
export function urlPrefix(type: Type): string {
  return type === 'model' ? '' : `${type}s/`;
}

/** A repository or bucket by its name. Throws `INVALID_ARGUMENT` for anything else. */
export function parseRepo(repo: Designation): Id {
  const [, plural, name = ''] =
    typeof repo === 'string' ? (/^(kernels|buckets)\/([^/]+\/[^/]+)\/?$/.exec(repo) ?? []) : [];
  const id = plural === undefined ? repo : { type: plural.slice(0, -1) as Type, name };
  if (typeof id === 'string') return parseKnown(id);
  const { type } = id;
  if (type !== 'kernel' && type !== 'bucket') return parseKnown({ type, name: id.name });
  return { type, name: parseKnown(id.name).name };
}
