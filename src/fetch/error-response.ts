import { isXetError, type XetError, type XetErrorCode } from '../core/errors.ts';

/** Statuses and codes of the Hub, by our error codes. Callers branch on them. */
const HUB_ERRORS: Partial<Record<XetErrorCode, { status: number; hubCode?: string }>> = {
  REPOSITORY_NOT_FOUND: { status: 404, hubCode: 'RepoNotFound' },
  REVISION_NOT_FOUND: { status: 404, hubCode: 'RevisionNotFound' },
  ENTRY_NOT_FOUND: { status: 404, hubCode: 'EntryNotFound' },
  GATED: { status: 403, hubCode: 'GatedRepo' },
  UNAUTHORIZED: { status: 401 },
  FORBIDDEN: { status: 403 },
  RATE_LIMITED: { status: 429 },
  SERVER: { status: 500 },
};

/** Failures on our side, after which a plain request may succeed. `INTEGRITY` is not among them. */
const OWN_FAILURES: readonly XetErrorCode[] = [
  'UNSUPPORTED',
  'CODEC_CRASHED',
  'PROTOCOL',
  'CACHE',
  'DISK_FULL',
  'PERMISSION',
  'QUOTA',
  'INVALID_ARGUMENT',
];

interface ErrorResponse {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** The Hub's response, rebuilt from the error that it became; undefined if the error was not a response of the Hub. */
export function errorResponse(error: unknown): ErrorResponse | undefined {
  if (!isXetError(error)) return undefined;
  const known = HUB_ERRORS[error.code];
  if (!known) return undefined;
  const text = error.serverMessage || error.message;
  const bytes = new TextEncoder().encode(text).length;
  return {
    status: error.status ?? known.status,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(bytes),
      'x-error-message': text.replace(/[^\x20-\x7e]/g, '?'),
      ...(known.hubCode !== undefined && { 'x-error-code': known.hubCode }),
      ...errorHeaders(error),
    },
    text,
  };
}

function errorHeaders({ commit, requestId, retryAfterMs }: XetError): Record<string, string> {
  return {
    ...(commit !== undefined && { 'x-repo-commit': commit }),
    ...(requestId !== undefined && { 'x-request-id': requestId }),
    ...(retryAfterMs !== undefined && { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }),
  };
}

/** True for failures of this library or this machine: the caller is better served by a plain request. */
export function isOwnFailure(error: unknown): boolean {
  return isXetError(error) ? OWN_FAILURES.includes(error.code) : true;
}
