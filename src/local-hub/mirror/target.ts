import { typeOfPlural, typeOfPrefix } from '../repo/repo-id.ts';

/** A request below the name of a repository or bucket. */
export interface HubTarget {
  /** `models/owner/name`. */
  repo: string;
  /** `resolve`, `tree`, `xet-read-token`, …; empty for the repository itself. */
  action: string;
  /** True if it names a commit, so that the answer cannot change. */
  isCommit: boolean;
}

const COMMIT = /^[0-9a-f]{40}$/;
/** Actions whose next word is a revision. */
const WITH_REVISION = new Set(['resolve', 'raw', 'tree', 'revision', 'paths-info', 'commits']);

/** Reads the address of a request; `undefined` if it names no repository. */
export function parseTarget(segments: readonly string[]): HubTarget | undefined {
  const [first = '', ...rest] = segments;
  if (first === 'api') {
    const [kind = '', ...words] = rest;
    if (kind === 'resolve-cache') {
      const type = typeOfPlural(words[0]);
      const commitAt = words.findIndex((word, index) => index > 1 && COMMIT.test(word));
      if (!type || (commitAt !== 2 && commitAt !== 3)) return undefined;
      return { repo: `${type}s/${words.slice(1, commitAt).join('/')}`, action: kind, isCommit: true };
    }
    const type = kind === 'buckets' ? 'bucket' : typeOfPlural(kind);
    return type && words.length > 0 ? targetOf(type, words) : undefined;
  }
  const type = first === 'buckets' ? 'bucket' : (typeOfPrefix(first) ?? 'model');
  return targetOf(type, type === 'model' ? segments : rest);
}

function targetOf(type: string, words: readonly string[]): HubTarget {
  // Names have one word or two; what follows is told by its own.
  const isSingle = type !== 'bucket' && words.length > 1 && isAction(words[1] ?? '') && !isAction(words[2] ?? '');
  const length = isSingle ? 1 : 2;
  const [action = '', revision = ''] = words.slice(length);
  return {
    repo: `${type}s/${words.slice(0, length).join('/')}`,
    action,
    isCommit: type !== 'bucket' && WITH_REVISION.has(action) && COMMIT.test(revision),
  };
}

function isAction(word: string): boolean {
  return WITH_REVISION.has(word) || word === 'refs' || /^xet-(read|write)-token$/.test(word);
}
