import { publicText, publicUrl, XetError, type XetErrorCode } from '../core/errors.ts';
import { isHtml, LOGIN_ADVICE } from './json.ts';
import { originOf } from './request-checks.ts';
import { requestedWait } from './retry-timing.ts';
import type { HttpResponse, RequestSpec, ResponseHeaders } from './types.ts';

const ERROR_BODY_LIMIT = 4096;
/** The status is known, and nobody waits longer for its reason. */
const MAX_EXPLANATION_MS = 5000;

/** Maps an error response to a typed error. Reads at most a few KiB of the body and drops the rest. */
export async function responseError(
  response: HttpResponse,
  { kind, method = 'GET', headers: sent }: Pick<RequestSpec, 'kind' | 'method' | 'headers'>,
  asked: string,
): Promise<XetError> {
  const { detail, isPage } = await explanationIn(response);
  const { status, headers } = response;
  const url = response.url || asked;
  const hubCode = headers.get('x-error-code') ?? '';
  // A redirect may have led to storage, whose refusals say nothing about tokens of the Hub.
  const isHub = kind === 'hub' && (hubCode !== '' || originOf(url) === originOf(asked));
  const isChallenge = headers.get('cf-mitigated') === 'challenge';
  const question = { writes: isWrite(method, asked), hasToken: sent?.authorization !== undefined, isPage, detail };
  const [code, advice] =
    refusalOnTheWay(status, isChallenge) ??
    (isHub ? hubMeaning(status, hubCode, question) : undefined) ??
    meaningOf(status, isPage);
  return new XetError(code, `${publicUrl(url)} answered ${status}${detail && ` ("${detail}")`}. ${advice}`, {
    status,
    url,
    requestId: headers.get('x-request-id') ?? headers.get('x-amz-cf-id') ?? undefined,
    retryable: isTransientStatus(status) && status !== 511 && !isChallenge,
    retryAfterMs: requestedWait(headers, Date.now()),
    commit: isHub ? commitIn(headers) : undefined,
    serverMessage: detail || undefined,
  });
}

/** Facts about a refused request and its answer. */
interface Question {
  writes: boolean;
  hasToken: boolean;
  /** True if the answer is a page for people. */
  isPage: boolean;
  /** The server's words. */
  detail: string;
}

/** Maps a refusal to a code and advice. */
type Meaning = readonly [code: XetErrorCode, advice: string];

/** True if a request changes something, or asks for leave to. */
function isWrite(method: string, url: string): boolean {
  return /\/xet-write-token\//.test(url) || !(method === 'GET' || method === 'HEAD' || /\/paths-info\//.test(url));
}

/** The commit that an answer of the Hub speaks of. */
export function commitIn(headers: ResponseHeaders): string | undefined {
  const commit = headers.get('x-repo-commit');
  return commit !== null && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
}

/** Statuses that another attempt may cure. */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && !LASTING.has(status));
}

/** Server errors that another attempt does not cure: not implemented, version, no space, a loop, a login that the network wants. */
const LASTING = new Set([501, 505, 506, 507, 508, 510, 511]);

export const PROXY_ADVICE =
  'The proxy wants user and password: put them into HTTPS_PROXY, as http://user:password@host:port.';
const PAGE_ADVICE = 'It is a web page, as of a proxy or firewall: ask who runs that.';
const REPOSITORY_ADVICE =
  'Check the name and the type of the repository; a private one needs an access token that may read it.';
const FORBIDDEN = 'FORBIDDEN';

/** Of what stands between here and the server. */
function refusalOnTheWay(status: number, isChallenge: boolean): Meaning | undefined {
  if (status === 407) return ['NETWORK', PROXY_ADVICE];
  if (status === 511) return ['NETWORK', `The network wants a login. ${LOGIN_ADVICE}.`];
  if (!isChallenge) return undefined;
  return [
    FORBIDDEN,
    'A service in front of it wants to see a browser: ask its operator to let programs through, or set HF_ENDPOINT.',
  ];
}

/** Of services other than the Hub, and where the Hub does not say more. */
const BY_STATUS: Record<number, Meaning> = {
  401: ['UNAUTHORIZED', 'The access token was not accepted.'],
  403: [FORBIDDEN, 'Access is denied, or a signed address has expired.'],
  404: ['ENTRY_NOT_FOUND', 'The server does not have it.'],
  408: ['TIMEOUT', 'The server gave up waiting.'],
  409: ['CONFLICT', 'It changed in the meantime; look again.'],
  413: ['QUOTA', 'The server takes no body of this size.'],
  429: ['RATE_LIMITED', 'Too many requests; wait, or use an access token.'],
  451: [FORBIDDEN, 'It may not be given out here for legal reasons.'],
  501: ['UNSUPPORTED', 'The server does not offer this.'],
  507: ['QUOTA', 'The server has no space left: ask who runs it.'],
};

function meaningOf(status: number, isPage: boolean): Meaning {
  if (status === 403 && isPage) return [FORBIDDEN, PAGE_ADVICE];
  const known = BY_STATUS[status === 412 ? 409 : status];
  if (known) return known;
  if (status >= 500) return ['SERVER', 'The server failed; try again later.'];
  return ['PROTOCOL', status < 400 ? 'The redirect leads nowhere.' : 'The server did not understand the request.'];
}

/** The Hub says in a header what is missing. */
const BY_HUB_CODE = new Map<string, Meaning>([
  ['RepoNotFound', ['REPOSITORY_NOT_FOUND', REPOSITORY_ADVICE]],
  ['RevisionNotFound', ['REVISION_NOT_FOUND', 'Check the branch, tag or commit.']],
  ['EntryNotFound', ['ENTRY_NOT_FOUND', 'No such file at this revision: list the repository to see what is there.']],
  ['GatedRepo', ['GATED', 'Accept the conditions on the repository page, and use a token of that account.']],
  ['RepoExists', ['CONFLICT', 'The name is taken.']],
]);

function hubMeaning(
  status: number,
  hubCode: string,
  { writes, hasToken, isPage, detail }: Question,
): Meaning | undefined {
  const known = BY_HUB_CODE.get(hubCode);
  if (known) return known;
  // The Hub says so in words only.
  if ([400, 402, 403].includes(status) && /\b(storage|quota)\b.*\b(limit|exceed|reached|full)/i.test(detail)) {
    return ['QUOTA', 'Free some storage of the account, or have its limit raised.'];
  }
  if (status === 403) {
    if (/\bdisabled\b/i.test(detail))
      return [FORBIDDEN, 'The repository has been disabled by the Hub: its page says why.'];
    if (isPage) return undefined;
    if (writes) return [FORBIDDEN, 'The access token does not allow it; writing needs one that may write.'];
    return hasToken
      ? [FORBIDDEN, 'The access token may not read this; use one that may, or ask for access.']
      : [FORBIDDEN, 'Reading this may need an access token: set HF_TOKEN or accessToken.'];
  }
  if (status !== 401) return undefined;
  // Without a code, 401 hides whether a repository exists.
  const isAboutToken =
    !/invalid username or password/i.test(detail) &&
    (/credential|expired|invalid|revoked|token/i.test(detail) || (hasToken && detail !== ''));
  return isAboutToken
    ? ['UNAUTHORIZED', 'The access token is wrong or has expired: set HF_TOKEN or accessToken to a valid one.']
    : ['REPOSITORY_NOT_FOUND', REPOSITORY_ADVICE];
}

async function explanationIn(response: HttpResponse): Promise<{ detail: string; isPage: boolean }> {
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
export async function firstText(response: HttpResponse, mostCharacters = ERROR_BODY_LIMIT): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const decoder = new TextDecoder();
  let text = '';
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<{ done: true; value?: undefined }>((resolve) => {
    timer = setTimeout(resolve, MAX_EXPLANATION_MS, { done: true });
  });
  try {
    while (text.length < mostCharacters) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    // The status already says that the request failed; a broken explanation adds nothing to it.
  } finally {
    clearTimeout(timer);
  }
  void reader.cancel().catch(() => undefined);
  return text.slice(0, mostCharacters);
}
