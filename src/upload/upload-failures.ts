import { isXetError, XetError } from '../core/errors.ts';
import { type RepoId, repoText } from '../hub/repo.ts';

/** Target of an upload. */
export interface UploadPlace {
  repo: RepoId;
  endpoint: string;
  /** True if the Hub was told who uploads. */
  hasToken: boolean;
}

/** Says of failures of an upload what the answer of the server alone does not. */
export function explained(error: unknown, { repo, endpoint, hasToken }: UploadPlace): unknown {
  if (!isXetError(error)) return error;
  const { status, url, requestId, serverMessage } = error;
  const details = { status, url, requestId, serverMessage, cause: error };
  if ((status === 401 || status === 403) && !hasToken) {
    return new XetError(
      'UNAUTHORIZED',
      `Nothing was uploaded to ${repoText(repo)}: that needs an access token that may write, and there is none. ` +
        `Set HF_TOKEN or accessToken. ${error.message}`,
      details,
    );
  }
  const asksForCas = url?.includes('/xet-write-token/') ?? false;
  if (asksForCas && isXetError(error, 'ENTRY_NOT_FOUND', 'UNSUPPORTED', 'PROTOCOL')) {
    return new XetError(
      'UNSUPPORTED',
      `${endpoint} takes no uploads over Xet, which large files need here, so nothing was committed. ` +
        `Use another client for this server. ${error.message}`,
      details,
    );
  }
  return error;
}
