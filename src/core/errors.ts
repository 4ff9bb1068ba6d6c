/** Error codes, a closed set. Programs branch on the code, people read the message. */
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

/** Details of a failure. */
export interface XetErrorDetails {
  /** HTTP status of the answer, if there was one. */
  status?: number;
  /** Address of the request; query and credentials are cut off, as a query may hold a signature. */
  url?: string;
  /** The server's own name for the request, to quote in a report. */
  requestId?: string;
  /** True if the same call may succeed later. */
  retryable?: boolean;
  /** Delay that the server requested, in milliseconds. */
  retryAfterMs?: number;
  /** The commit that a Hub spoke of, where it said that something is not there. */
  commit?: string;
  /** The server's own words, if it said why. */
  serverMessage?: string;
  /** Changes of a bucket that its Hub refused, by path, while the others were made. */
  failures?: readonly { path: string; message: string }[];
  /** Underlying error. */
  cause?: unknown;
}

/** Every failure that xetkit itself reports. An abort is not one of them: it rejects with `signal.reason`. */
export class XetError extends Error {
  /** The same in all copies of the package. */
  override readonly name = 'XetError';
  /** Error code; branch on this. */
  readonly code: XetErrorCode;
  /** HTTP status of the answer, if there was one. */
  readonly status: number | undefined;
  /** Address of the request, without query and credentials. */
  readonly url: string | undefined;
  /** The server's own name for the request, to quote in a report. */
  readonly requestId: string | undefined;
  /** True if the same call may succeed later. */
  readonly retryable: boolean;
  /** Delay that the server requested, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** The commit that a Hub spoke of, where it said that something is not there. */
  readonly commit: string | undefined;
  /** The server's own words, if it said why. */
  readonly serverMessage: string | undefined;
  /** Changes of a bucket that its Hub refused, by path, while the others were made; the same call retries them. */
  readonly failures: readonly { readonly path: string; readonly message: string }[] | undefined;

  constructor(code: XetErrorCode, message: string, details: XetErrorDetails = {}) {
    const { cause, status, url, requestId, retryable = false, retryAfterMs, commit, serverMessage, failures } = details;
    super(clean(message), cause === undefined ? {} : { cause });
    this.code = code;
    this.status = status;
    this.url = url && clean(publicUrl(url));
    this.requestId = publicId(requestId);
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
    this.commit = commit;
    this.serverMessage = serverMessage && clean(serverMessage);
    this.failures = failures;
  }
}

/** Takes credentials out of a text. Where none are sent, as in a codec worker, there is nothing to take out. */
let clean = (text: string) => text;

/** Has all texts of errors cleaned of credentials by the module that knows those. */
export function cleanTextsBy(how: (text: string) => string): void {
  clean = how;
}

/** Of a server that does not answer as it should; with what it did. */
export function badResponse(url: string, did: string, details: XetErrorDetails = {}): XetError {
  return new XetError('PROTOCOL', `${publicUrl(url)} ${did}.`, { url, ...details });
}

/**
 * Reason for ending work of our own that nobody waits for. One for all: gathering a stack takes longer than all else
 * about the end of a request.
 */
export const NO_LONGER_WANTED = new XetError('CLOSED', 'The download has ended.');

/**
 * True if a value is a {@link XetError}, with one of the codes if any are given. Works across copies of the package.
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

/** The name that a server gave a request, unless it is anything but a name. */
export function publicId(id: string | null | undefined): string | undefined {
  return id && /^[\w.:;=+/-]{1,128}$/.test(id) ? publicText(id) : undefined;
}

/** Words of others, fit to be shown: no credentials, neither those that were sent nor what looks like one. */
export function publicText(text: string): string {
  return clean(text)
    .replace(/https?:\/\/[^\s"'<>)]+/gi, (url) => publicUrl(url))
    .replace(/\b(Bearer|Basic)(?:\s|%20)+[^\s"',]+/gi, '$1 …')
    .replace(/\b(hf_|eyJ)[\w-]+(?:\.[\w-]+)*/g, '$1…')
    .replace(SECRET_PARAMETER, (pair, name) => (SECRET_NAMES.test(name) ? `${name}…` : pair));
}

/**
 * The error that led to another one, by name, code and message. Runtimes and proxies put whole addresses and headers into
 * further fields, and into stacks.
 */
export function publicCause(cause: unknown, depth = 4): unknown {
  if (isXetError(cause)) return cause;
  if (!(cause instanceof Error)) return cause === undefined ? undefined : publicText(String(cause)).slice(0, 1000);
  const { name, message } = cause;
  const Class = cause instanceof TypeError ? TypeError : cause instanceof RangeError ? RangeError : Error;
  const inner = depth > 0 ? publicCause(cause.cause, depth - 1) : undefined;
  const copy = new Class(publicText(message).slice(0, 1000), inner === undefined ? {} : { cause: inner });
  copy.name = /^\w{1,64}$/.test(name) ? name : 'Error';
  const { code } = cause as { code?: unknown };
  if (typeof code === 'number' || (typeof code === 'string' && /^\w{1,64}$/.test(code))) Object.assign(copy, { code });
  return copy;
}

/** Names of what opens something. */
export const SECRET_NAMES = /sig|token|cred|policy|key|pass|secret|auth(?!or)|hmac|jwt|ticket|session/i;
/** `name=value`, as in a query. */
const SECRET_PARAMETER = /\b([\w-]{1,64}(?:=|%3D))[^&\s"'<>,;)]+/gi;
