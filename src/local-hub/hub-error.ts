import { isXetError } from '../core/errors.ts';

/** The words that clients know in `X-Error-Code`. */
export type HubErrorCode = 'RepoNotFound' | 'RevisionNotFound' | 'EntryNotFound' | 'GatedRepo';

/** A request that gets an error for an answer. */
export class HubError extends Error {
  readonly status: number;
  readonly code: HubErrorCode | undefined;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, code?: HubErrorCode, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Maps an error to the answer of the failed request. */
export function asHubError(error: unknown): HubError {
  if (error instanceof HubError) return error;
  // What the codec finds wrong with received bytes is the sender's doing.
  if (isXetError(error, 'PROTOCOL', 'INVALID_ARGUMENT')) return new HubError(400, error.message);
  if (isXetError(error, 'CONFLICT')) return new HubError(503, error.message);
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new HubError(507, 'The disk of this Hub is full. Free some space there, then send this again.');
    case 'EMFILE':
    case 'ENFILE':
      return new HubError(503, 'This Hub has too many files open. Try again.', undefined, { 'retry-after': '1' });
    default:
      return new HubError(500, 'Internal server error');
  }
}

/** Text of an error for the log, with its stack. */
export function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
