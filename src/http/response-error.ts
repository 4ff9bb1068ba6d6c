import { publicText, publicUrl, XetError, type XetErrorCode } from '../errors.ts';
import type { Answer, AnswerHeaders, RequestSpec } from './http.ts';
import { isHtml, LOGIN_ADVICE } from './json.ts';
import { originOf } from './request-checks.ts';
import { requestedWait } from './retry-timing.ts';

/**
 * Which service a request goes to: it decides the credential, the rewriting and the meaning of a status. `source` is an
 * address of the caller's, whose content is uploaded.
 */
export type UrlKind = 'hub' | 'cas' | 'xorb' | 'source';

const ERROR_BODY_LIMIT = 4096;
/** The status is known, and nobody waits longer for its reason. */
const MOST_EXPLANATION_MS = 5000;

/** What an unwanted answer means, as a typed error. Reads at most a few KiB of the body and drops the rest. */
export async function responseError(
  response: Answer,
  { kind, method = 'GET', headers: sent }: Pick<RequestSpec, 'kind' | 'method' | 'headers'>,
  asked: string,
): Promise<XetError> {
  const { detail, isPage } = await explanationIn(response);
  const { status, headers } = response;
  const url = response.url || asked;
  const hubCode = headers.get('x-error-code') ?? undefined;
  // A redirect may have led to storage, whose refusals say nothing about tokens of the Hub.
  const isHub = kind === 'hub' && (hubCode !== undefined || originOf(url) === originOf(asked));
  const question: Question = {
    kind: kind === 'hub' && !isHub ? 'xorb' : kind,
    writes: isWrite(method, asked),
    hasToken: sent?.authorization !== undefined,
    isPage,
    isChallenge: headers.get('cf-mitigated') === 'challenge',
  };
  const { code, advice, lasts = false } = classify(status, question, hubCode, detail);
  const said = detail === '' ? '' : ` ("${detail}")`;
  return new XetError(code, `${publicUrl(url)} answered ${status}${said}. ${advice}`, {
    status,
    url,
    requestId: headers.get('x-request-id') ?? headers.get('x-amz-cf-id') ?? undefined,
    retryable: isTransientStatus(status) && !lasts,
    retryAfterMs: requestedWait(headers, Date.now()),
    commit: isHub ? commitOf(headers) : undefined,
    serverMessage: detail || undefined,
  });
}

/** What matters of a request that was refused, and of the form of the refusal. */
interface Question {
  kind: UrlKind;
  writes: boolean;
  hasToken: boolean;
  /** Whether the answer is a page for people. */
  isPage: boolean;
  /** Whether a service in front of the server wants to see a browser. */
  isChallenge: boolean;
}

interface Meaning {
  code: XetErrorCode;
  advice: string;
  /** Whether another attempt meets the same, though the status does not say so. */
  lasts?: boolean;
}

/** Whether a request changes something, or asks for leave to. */
function isWrite(method: string, url: string): boolean {
  if (/\/xet-write-token\//.test(url)) return true;
  return method !== 'GET' && method !== 'HEAD' && !/\/paths-info\//.test(url);
}

function commitOf(headers: AnswerHeaders): string | undefined {
  const commit = headers.get('x-repo-commit');
  return commit !== null && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
}

/** Statuses that another attempt may cure. */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

function classify(status: number, question: Question, hubCode: string | undefined, detail: string): Meaning {
  const { kind, isChallenge, isPage } = question;
  if (status === 407) return { code: 'NETWORK', advice: PROXY_ADVICE };
  if (status === 511)
    return { code: 'NETWORK', advice: `The network wants a login first. ${LOGIN_ADVICE}`, lasts: true };
  if (isChallenge) {
    return {
      code: 'FORBIDDEN',
      advice:
        'A service in front of the server wants to see a browser. Ask its operator to let programs through, or set HF_ENDPOINT to another address.',
      lasts: true,
    };
  }
  if (kind === 'hub') {
    const known = hubMeaning(status, question, hubCode, detail);
    if (known) return known;
  }
  if (status === 451) return { code: 'FORBIDDEN', advice: 'It may not be given out here for legal reasons.' };
  if (status === 401) return { code: 'UNAUTHORIZED', advice: 'The access token was not accepted.' };
  if (status === 403) {
    const advice = isPage ? PAGE_ADVICE : 'Access is denied, or a signed address has expired.';
    return { code: 'FORBIDDEN', advice };
  }
  if (status === 404) return { code: 'ENTRY_NOT_FOUND', advice: 'The server does not have it.' };
  if (status === 408) return { code: 'TIMEOUT', advice: 'The server gave up waiting.' };
  if (status === 409 || status === 412) return { code: 'CONFLICT', advice: 'It changed in the meantime; look again.' };
  if (status === 413) return { code: 'QUOTA', advice: 'The server takes no body of this size.' };
  if (status === 429) return { code: 'RATE_LIMITED', advice: 'Too many requests; wait, or use an access token.' };
  if (status === 501) return { code: 'UNSUPPORTED', advice: 'The server does not offer this.' };
  if (status >= 500) return { code: 'SERVER', advice: 'The server failed; try again later.' };
  if (status < 400) return { code: 'PROTOCOL', advice: 'It is a redirect that leads nowhere.' };
  return { code: 'PROTOCOL', advice: 'The server did not understand the request.' };
}

export const PROXY_ADVICE =
  'The proxy wants user and password: put them into HTTPS_PROXY, as http://user:password@host:port.';
const PAGE_ADVICE = 'It is a web page, which a proxy or firewall may have put in place of the answer: ask who runs it.';

/** The Hub says in a header what is missing; without it, 401 hides whether a repository exists. */
function hubMeaning(
  status: number,
  { writes, hasToken, isPage }: Question,
  hubCode: string | undefined,
  detail: string,
): Meaning | undefined {
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
  if ([400, 402, 403].includes(status) && /\b(storage|quota)\b.*\b(limit|exceed|reached|full)/i.test(detail)) {
    return { code: 'QUOTA', advice: 'Free some storage of the account, or have its limit raised.' };
  }
  if (status === 403) return { code: 'FORBIDDEN', advice: forbidden(writes, hasToken, isPage, detail) };
  if (status !== 401) return undefined;
  const isAboutToken = /invalid username or password/i.test(detail)
    ? false
    : /credential|expired|invalid|revoked|token/i.test(detail) || (hasToken && detail !== '');
  return isAboutToken
    ? {
        code: 'UNAUTHORIZED',
        advice: 'The access token is wrong or has expired: set HF_TOKEN or accessToken to a valid one.',
      }
    : {
        code: 'REPOSITORY_NOT_FOUND',
        advice: 'The repository does not exist, or it is private and needs an access token.',
      };
}

function forbidden(writes: boolean, hasToken: boolean, isPage: boolean, detail: string): string {
  if (/\bdisabled\b/i.test(detail)) return 'The repository has been disabled by the Hub: its page says why.';
  if (isPage) return PAGE_ADVICE;
  if (writes) return 'The access token does not allow it; writing needs one that may write.';
  return hasToken
    ? 'The access token may not read this; use one that may, or ask for access.'
    : 'Reading this may need an access token: set HF_TOKEN or accessToken.';
}

async function explanationIn(response: Answer): Promise<{ detail: string; isPage: boolean }> {
  const header = response.headers.get('x-error-message');
  const body = await firstText(response);
  const isPage = isMarkup(body) && (isHtml(response.headers) || /^\s*(<!doctype )?<?html/i.test(body));
  const text = (header ?? messageOf(body)).slice(0, ERROR_BODY_LIMIT);
  // A credential that is cut off is not known again.
  const whole = text.length < ERROR_BODY_LIMIT ? text : text.replace(/\S*$/, '');
  return { detail: publicText(whole.replace(/\s+/g, ' ').trim()).slice(0, 300), isPage };
}

const isMarkup = (body: string) => /^\s*</.test(body);

/** The words in a body: those of the Hub, and those of the servers and frameworks that stand in for it. */
function messageOf(body: string): string {
  try {
    return wordsIn(JSON.parse(body), 3);
  } catch {
    return isMarkup(body) ? '' : body;
  }
}

function wordsIn(value: unknown, depth: number): string {
  if (typeof value === 'string') return value;
  if (depth === 0 || typeof value !== 'object' || value === null) return '';
  if (Array.isArray(value)) {
    const words = value.slice(0, 5).map((one) => wordsIn(one, depth - 1));
    return words.filter((one) => one !== '').join('; ');
  }
  for (const key of ['error', 'errors', 'message', 'error_description', 'detail', 'msg']) {
    const words = wordsIn((value as Record<string, unknown>)[key], depth - 1);
    if (words !== '') return words;
  }
  return '';
}

/** A body as text, as far as it can be had, up to about so many characters; the rest is dropped. */
export async function firstText(response: Answer, mostCharacters = ERROR_BODY_LIMIT): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const decoder = new TextDecoder();
  let text = '';
  const late = timeLimit(MOST_EXPLANATION_MS);
  try {
    while (text.length < mostCharacters) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    // The status already says that the request failed; a broken explanation adds nothing to it.
  } finally {
    late.clear();
  }
  void reader.cancel().catch(() => undefined);
  return text.slice(0, mostCharacters);
}

function timeLimit(ms: number): { promise: Promise<{ done: true; value?: undefined }>; clear: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const promise = new Promise<{ done: true }>((resolve) => {
    timer = setTimeout(resolve, ms, { done: true });
  });
  return { promise, clear: () => clearTimeout(timer) };
}
