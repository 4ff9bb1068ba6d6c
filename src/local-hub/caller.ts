import { isRepoName, isRepoType, type RepoId } from './repo/repo-id.ts';
import type { Stored } from './repo/stored.ts';

/** The caller. `name` is undefined without a token. */
export interface Visitor {
  name: string | undefined;
  write: boolean;
  /** True if the token is one of this Hub's: what is private is for those who have such a token. */
  known: boolean;
}

/** The user and the repository for which content is stored or read. CAS tokens and signed addresses carry it. */
export interface Caller extends Pick<Visitor, 'name' | 'known'> {
  repo: RepoId;
  /** Of the repository's record: its name may be given to another one later. */
  repoId: string;
}

export function callerFor({ id, record }: Pick<Stored, 'id' | 'record'>, { name, known }: Visitor): Caller {
  return { repo: id, repoId: record.id, name, known };
}

export function sameCaller(a: Caller, b: Caller): boolean {
  return a.repoId === b.repoId && a.name === b.name && a.known === b.known;
}

export function encodeCaller({ repo, repoId, name, known }: Caller): string {
  return JSON.stringify([repo.type, repo.name, repoId, name ?? null, known]);
}

/** Reads what {@link encodeCaller} wrote, where nobody can have changed it since. */
export function decodeCaller(text: string | null): Caller | undefined {
  const [type, repo, repoId, name, known] = JSON.parse(text ?? '[]') as unknown[];
  if (
    (type !== 'bucket' && !isRepoType(type)) ||
    typeof repo !== 'string' ||
    !isRepoName(repo) ||
    typeof repoId !== 'string'
  )
    return undefined;
  return {
    repo: { type, name: repo },
    repoId,
    name: typeof name === 'string' ? name : undefined,
    known: known === true,
  };
}
