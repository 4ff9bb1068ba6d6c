import { isXetError, XetError } from '../core/errors.ts';
import { repoText } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';

/** Target of an upload. */
interface UploadTarget {
  repo: RepoId;
  endpoint: string;
  /** True if requests to the Hub carry a token. */
  hasToken: boolean;
}

/** Adds to a server's error what it means for an upload. */
export function explainFailure(error: unknown, { repo, endpoint, hasToken }: UploadTarget): unknown {
  if (!isXetError(error)) return error;
  const { status, url, requestId, serverMessage } = error;
  const details = { status, url, requestId, serverMessage, cause: error };
  if ((status === 401 || status === 403) && !hasToken) {
    return new XetError(
      'UNAUTHORIZED',
      `Nothing was uploaded to ${repoText(repo)}, because there is no access token with write permission. ` +
        `Set HF_TOKEN or accessToken. ${error.message}`,
      details,
    );
  }
  const asksForCas = /\/xet-write-token(?:\/|$)/.test(url ?? '');
  if (asksForCas && isXetError(error, 'ENTRY_NOT_FOUND', 'UNSUPPORTED', 'PROTOCOL')) {
    return new XetError(
      'UNSUPPORTED',
      `${endpoint} does not accept uploads over Xet, which large files require, so nothing was committed. ` +
        `Use another client for this server. ${error.message}`,
      details,
    );
  }
  return error;
}
