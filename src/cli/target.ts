import { XetError } from '../core/errors.ts';
import { parseLocation, parseRepo } from '../hub/repo.ts';
import type { RepoId, RepoType } from '../hub/types.ts';

export interface Target {
  repo: RepoId;
  revision: string | undefined;
  path: string | undefined;
}

/** Parses REPO: a name, an `hf://` URI or a URL of the Hub. */
export function parseTarget(text: string, options: { repoType?: string; revision?: string }, endpoint: string): Target {
  const { repoType, revision } = options;
  if (repoType !== undefined && !isRepoType(repoType)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `No repository type '${repoType}': use model, dataset, space, kernel or bucket.`,
    );
  }
  const location = parseLocation(text, endpoint) ?? parseLocation(text, 'https://huggingface.co');
  if (location) {
    return { repo: location.repo, revision: revision ?? location.revision, path: location.path };
  }
  return { repo: parseRepo(repoType === undefined ? text : { type: repoType, name: text }), revision, path: undefined };
}

function isRepoType(text: string): text is RepoType {
  return ['model', 'dataset', 'space', 'kernel', 'bucket'].includes(text);
}
