/** What went wrong, as a closed set: code decides on these, people read the message. */
export type XetErrorCode =
  | 'REPOSITORY_NOT_FOUND'
  | 'REVISION_NOT_FOUND'
  | 'ENTRY_NOT_FOUND'
  | 'GATED'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'RATE_LIMITED'
  | 'SERVER'
  | 'NETWORK'
  | 'TIMEOUT'
  | 'STALLED'
  | 'INTEGRITY'
  | 'PROTOCOL'
  | 'DISK_FULL'
  | 'PERMISSION'
  | 'QUOTA'
  | 'CONFLICT'
  | 'CACHE'
  | 'OFFLINE'
  | 'INVALID_ARGUMENT'
  | 'UNSUPPORTED'
  | 'CODEC_CRASHED'
  | 'CLOSED';

/** What is known of a failure. */
export interface XetErrorDetails {
  /** HTTP status of the answer, if there was one. */
  status?: number;
  /** Address of the request; query and credentials are cut off, as a query may hold a signature. */
  url?: string;
  /** The server's own name for the request, to quote in a report. */
  requestId?: string;
  /** Whether the same call may succeed later. */
  retryable?: boolean;
  /** How long the server asked to wait, in milliseconds. */
  retryAfterMs?: number;
  /** The commit that a Hub spoke of, where it said that something is not there. */
  commit?: string;
  /** The server's own words, if it said why. */
  serverMessage?: string;
  /** What led to it. */
  cause?: unknown;
}

/** Every failure that xetkit itself reports. An abort is not one of them: it rejects with `signal.reason`. */
export class XetError extends Error {
  /** The same in all copies of the package. */
  override readonly name = 'XetError';
  /** What went wrong: decide on this. */
  readonly code: XetErrorCode;
  /** HTTP status of the answer, if there was one. */
  readonly status: number | undefined;
  /** Address of the request, without query and credentials. */
  readonly url: string | undefined;
  /** The server's own name for the request, to quote in a report. */
  readonly requestId: string | undefined;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** The commit that a Hub spoke of, where it said that something is not there. */
  readonly commit: string | undefined;
  /** The server's own words, if it said why. */
  readonly serverMessage: string | undefined;

  constructor(code: XetErrorCode, message: string, details: XetErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.url = details.url === undefined ? undefined : publicUrl(details.url);
    this.requestId = details.requestId;
    this.retryable = details.retryable ?? false;
    this.retryAfterMs = details.retryAfterMs;
    this.commit = details.commit;
    this.serverMessage = details.serverMessage;
  }
}

/**
 * Why something of our own ends that nobody waits for any more. One for all: gathering a stack takes longer than all else
 * about the end of a request.
 */
export const NO_LONGER_WANTED = new XetError('CLOSED', 'The download has ended.');

/**
 * Whether this is a {@link XetError}, of one of the codes if some are named. Holds across copies of the package.
 *
 * @example
 * ```js
 * import { isXetError } from 'xetkit';
 *
 * const info = await client.fileInfo({ repo: 'owner/model', path: 'none.txt' }).catch((reason) => {
 *   if (isXetError(reason, 'ENTRY_NOT_FOUND')) return undefined;
 *   throw reason;
 * });
 * console.log(info);
 * ```
 */
export function isXetError(error: unknown): error is XetError;
export function isXetError<Code extends XetErrorCode>(
  error: unknown,
  ...codes: Code[]
): error is XetError & { readonly code: Code };
export function isXetError(error: unknown, ...codes: XetErrorCode[]): error is XetError {
  if (!(error instanceof Error) || error.name !== 'XetError' || !('code' in error)) return false;
  return codes.length === 0 || codes.includes(error.code as XetErrorCode);
}

/** An address that can be shown: without user, password, query and fragment. */
export function publicUrl(url: string): string {
  try {
    const { origin, pathname } = new URL(url);
    return `${origin}${pathname}`;
  } catch {
    return (url.split(/[?#]/, 1)[0] ?? '').replace(/^((?:[a-z][a-z0-9+.-]*:)?\/\/)[^/]*@/i, '$1');
  }
}

/** Words of others, fit to be shown: no queries of addresses, which may be signatures, and no tokens. */
export function publicText(text: string): string {
  return text
    .replace(/https?:\/\/[^\s"'<>)]+/gi, (url) => publicUrl(url))
    .replace(/\bBearer\s+[^\s"',]+/gi, 'Bearer …')
    .replace(/\bhf_\w+/g, 'hf_…');
}
