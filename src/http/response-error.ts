import { publicText, publicUrl, XetError, type XetErrorCode } from '../errors.ts';
import type { Answer, AnswerHeaders } from './http.ts';
import { requestedWait } from './retry-timing.ts';

/**
 * Which service a request goes to: it decides the credential, the rewriting and the meaning of a status. `source` is an
 * address of the caller's, whose content is uploaded.
 */
export type UrlKind = 'hub' | 'cas' | 'xorb' | 'source';

const ERROR_BODY_LIMIT = 4096;

/** What an unwanted answer means, as a typed error. Reads at most a few KiB of the body and drops the rest. */
export async function responseError(response: Answer, kind: UrlKind, url: string): Promise<XetError> {
  const detail = await errorText(response);
  const { status, headers } = response;
  const hubCode = headers.get('x-error-code') ?? undefined;
  const { code, advice } = classify(status, kind, hubCode, detail);
  const said = detail === '' ? '' : ` ("${detail}")`;
  return new XetError(code, `${publicUrl(url)} answered ${status}${said}. ${advice}`, {
    status,
    url,
    requestId: headers.get('x-request-id') ?? headers.get('x-amz-cf-id') ?? undefined,
    retryable: isTransientStatus(status),
    retryAfterMs: requestedWait(headers, Date.now()),
    commit: kind === 'hub' ? commitOf(headers) : undefined,
    serverMessage: detail || undefined,
  });
}

function commitOf(headers: AnswerHeaders): string | undefined {
  const commit = headers.get('x-repo-commit');
  return commit !== null && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
}

/** Statuses that another attempt may cure. */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

function classify(
  status: number,
  kind: UrlKind,
  hubCode: string | undefined,
  detail: string,
): { code: XetErrorCode; advice: string } {
  if (kind === 'hub') {
    const known = hubMeaning(status, hubCode, detail);
    if (known) return known;
  }
  if (status === 401) return { code: 'UNAUTHORIZED', advice: 'The access token was not accepted.' };
  if (status === 403) return { code: 'FORBIDDEN', advice: 'Access is denied, or a signed address has expired.' };
  if (status === 404) return { code: 'ENTRY_NOT_FOUND', advice: 'The server does not have it.' };
  if (status === 408) return { code: 'TIMEOUT', advice: 'The server gave up waiting.' };
  if (status === 409 || status === 412) return { code: 'CONFLICT', advice: 'It changed in the meantime; look again.' };
  if (status === 413) return { code: 'QUOTA', advice: 'The server takes no body of this size.' };
  if (status === 429) return { code: 'RATE_LIMITED', advice: 'Too many requests; wait, or use an access token.' };
  if (status === 501) return { code: 'UNSUPPORTED', advice: 'The server does not offer this.' };
  if (status >= 500) return { code: 'SERVER', advice: 'The server failed; try again later.' };
  return { code: 'PROTOCOL', advice: 'The server did not understand the request.' };
}

/** The Hub says in a header what is missing; without it, 401 hides whether a repository exists. */
function hubMeaning(
  status: number,
  hubCode: string | undefined,
  detail: string,
): { code: XetErrorCode; advice: string } | undefined {
  switch (hubCode) {
    case 'RepoNotFound':
      return {
        code: 'REPOSITORY_NOT_FOUND',
        advice: 'Check the name and the repository type; a private one needs a token that may read it.',
      };
    case 'RevisionNotFound':
      return { code: 'REVISION_NOT_FOUND', advice: 'Check the branch, tag or commit.' };
    case 'EntryNotFound':
      return {
        code: 'ENTRY_NOT_FOUND',
        advice: 'No such file at this revision; list the repository to see what is there.',
      };
    case 'GatedRepo':
      return {
        code: 'GATED',
        advice: 'Accept the conditions on the repository page, and use a token of that account.',
      };
    case 'RepoExists':
      return { code: 'CONFLICT', advice: 'The name is taken.' };
  }
  // The Hub says so in words only.
  if ((status === 403 || status === 402) && /\b(storage|quota)\b.*\b(limit|exceed|reached|full)/i.test(detail)) {
    return { code: 'QUOTA', advice: 'Free some storage of the account, or have its limit raised.' };
  }
  if (status === 403)
    return { code: 'FORBIDDEN', advice: 'The access token does not allow it; writing needs one that may write.' };
  if (status === 401) {
    return detail.includes('Invalid credentials')
      ? {
          code: 'UNAUTHORIZED',
          advice: 'The access token is wrong or has expired: set HF_TOKEN or accessToken to a valid one.',
        }
      : {
          code: 'REPOSITORY_NOT_FOUND',
          advice: 'The repository does not exist, or it is private and needs an access token.',
        };
  }
  return undefined;
}

async function errorText(response: Answer): Promise<string> {
  const header = response.headers.get('x-error-message');
  const body = await firstText(response);
  return publicText((header ?? messageOf(body)).replace(/\s+/g, ' ').trim()).slice(0, 300);
}

function messageOf(body: string): string {
  try {
    const json: unknown = JSON.parse(body);
    if (typeof json === 'object' && json !== null) {
      for (const key of ['error', 'message', 'error_description']) {
        const value = (json as Record<string, unknown>)[key];
        if (typeof value === 'string') return value;
      }
    }
    return '';
  } catch {
    return /^\s*</.test(body) ? '' : body;
  }
}

/** A body as text, as far as it can be had, up to about so many characters; the rest is dropped. */
export async function firstText(response: Answer, mostCharacters = ERROR_BODY_LIMIT): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const decoder = new TextDecoder();
  let text = '';
  try {
    while (text.length < mostCharacters) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    // The status already says that the request failed; a broken explanation adds nothing to it.
  }
  void reader.cancel().catch(() => undefined);
  return text.slice(0, mostCharacters);
}
