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
  cause?: unknown;
}

/** Every failure that xetkit itself reports. An abort is not one of them: it rejects with `signal.reason`. */
export class XetError extends Error {
  override readonly name = 'XetError';
  readonly code: XetErrorCode;
  readonly status: number | undefined;
  readonly url: string | undefined;
  readonly requestId: string | undefined;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(code: XetErrorCode, message: string, details: XetErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.url = details.url === undefined ? undefined : publicUrl(details.url);
    this.requestId = details.requestId;
    this.retryable = details.retryable ?? false;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Whether this is a {@link XetError}, of one of the codes if some are named. Holds across copies of the package. */
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
