import { isXetError, type XetError, type XetErrorCode } from '../core/errors.ts';

/** What the Hub says with a status of its own, by our name for it. Callers know these words and statuses. */
const REFUSALS: Partial<Record<XetErrorCode, { status: number; hubCode?: string }>> = {
  REPOSITORY_NOT_FOUND: { status: 404, hubCode: 'RepoNotFound' },
  REVISION_NOT_FOUND: { status: 404, hubCode: 'RevisionNotFound' },
  ENTRY_NOT_FOUND: { status: 404, hubCode: 'EntryNotFound' },
  GATED: { status: 403, hubCode: 'GatedRepo' },
  UNAUTHORIZED: { status: 401 },
  FORBIDDEN: { status: 403 },
  RATE_LIMITED: { status: 429 },
  SERVER: { status: 500 },
};

/** Reasons that lie with us, where a plain request may well succeed. Corrupt data is none of them. */
const OURS: readonly XetErrorCode[] = [
  'UNSUPPORTED',
  'CODEC_CRASHED',
  'PROTOCOL',
  'CACHE',
  'DISK_FULL',
  'PERMISSION',
  'QUOTA',
  'INVALID_ARGUMENT',
];

export interface Refusal {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** The Hub's own answer, put together again from the error that we made of it; undefined if it was not one. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!isXetError(error)) return undefined;
  const known = REFUSALS[error.code];
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
      ...facts(error),
    },
    text,
  };
}

function facts({ commit, requestId, retryAfterMs }: XetError): Record<string, string> {
  return {
    ...(commit !== undefined && { 'x-repo-commit': commit }),
    ...(requestId !== undefined && { 'x-request-id': requestId }),
    ...(retryAfterMs !== undefined && { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }),
  };
}

/** Whether a failure is a reason of our own, or of this place: then whoever asked is better served without us. */
export function isOurFailure(error: unknown): boolean {
  return isXetError(error) ? OURS.includes(error.code) : true;
}
