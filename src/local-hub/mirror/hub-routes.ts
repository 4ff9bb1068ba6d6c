import { casUrl } from '../context.ts';
import { readBody } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { notFound, type Route } from '../http/route.ts';
import { HubError } from '../hub-error.ts';
import type { Mirror } from './mirror.ts';
import { wantsFresh } from './questions.ts';
import { sendResolved } from './resolve.ts';
import { sendAnswer } from './send-answer.ts';
import { parseTarget } from './target.ts';
import { forwardToHub, uploadsRefused } from './uploads.ts';

const MAX_PATHS_BYTES = 4 * 1024 * 1024;

/** Finds what answers a request to the Hub from the upstream. */
export function mirrorHubRoute(mirror: Mirror, exchange: HubExchange): Route {
  const hub = (kind: Route['kind'], run: () => Promise<void>): Route => ({ family: 'hub', kind, run });
  const { method, segments } = exchange;
  const target = parseTarget(segments);
  const action = target?.action ?? '';
  const reads = method === 'GET' || method === 'HEAD';
  if (reads && (action === 'resolve' || action === 'raw' || action === 'resolve-cache')) {
    return hub(action === 'resolve-cache' ? action : 'resolve', () => sendResolved(mirror, exchange));
  }
  if (segments[0] !== 'api') {
    const isLfs = method === 'POST' && exchange.path.endsWith('.git/info/lfs/objects/batch');
    return isLfs ? hub('lfs', () => forwardToHub(mirror, exchange, target)) : notFound(exchange);
  }
  if (reads && action === 'xet-read-token') return hub('token', () => sendToken(mirror, exchange));
  if (action === 'xet-write-token') return hub('token', () => sendWriteToken(mirror, exchange));
  if (reads) return hub(action === 'tree' ? 'tree' : 'revision', () => sendQuestion(mirror, exchange));
  if (method === 'POST' && action === 'paths-info') return hub('paths-info', () => sendPathsInfo(mirror, exchange));
  return hub('other', () => forwardToHub(mirror, exchange, target));
}

async function sendQuestion(mirror: Mirror, exchange: HubExchange): Promise<void> {
  const asker = mirror.askers.of(exchange);
  const target = parseTarget(exchange.segments);
  const question = { method: 'GET' as const, target: exchange.request.url ?? '/' };
  const answer = await mirror.questions.ask(asker, question, target, { fresh: wantsFresh(exchange) });
  if (answer.status === 200 && !/json/.test(answer.headers['content-type'] ?? '')) throw notAHub();
  await sendAnswer(mirror, exchange, answer);
}

async function sendPathsInfo(mirror: Mirror, exchange: HubExchange): Promise<void> {
  const asker = mirror.askers.of(exchange);
  const body = await readBody(exchange.request, MAX_PATHS_BYTES);
  const question = {
    method: 'POST' as const,
    target: exchange.request.url ?? '/',
    headers: { 'content-type': exchange.header('content-type') ?? 'application/x-www-form-urlencoded' },
    body,
  };
  const target = parseTarget(exchange.segments);
  await sendAnswer(
    mirror,
    exchange,
    await mirror.questions.ask(asker, question, target, { fresh: wantsFresh(exchange) }),
  );
}

async function sendToken(mirror: Mirror, exchange: HubExchange): Promise<void> {
  const grant = await mirror.tokens.grant(mirror.askers.of(exchange), exchange.request.url ?? '/');
  await answerToken(mirror, exchange, mirror.tokens.seal(grant), grant.exp);
}

async function sendWriteToken(mirror: Mirror, exchange: HubExchange): Promise<void> {
  if (!mirror.acceptsUploads) throw uploadsRefused();
  const grant = await mirror.tokens.grant(mirror.askers.of(exchange), exchange.request.url ?? '/');
  await answerToken(mirror, exchange, mirror.tokens.seal(grant), grant.exp);
}

function answerToken(mirror: Mirror, exchange: HubExchange, accessToken: string, exp: number): Promise<void> {
  const url = casUrl(mirror.context, exchange);
  return exchange.json(
    200,
    { accessToken, exp, casUrl: url },
    {
      'x-xet-access-token': accessToken,
      'x-xet-token-expiration': exp,
      'x-xet-cas-url': url,
      'cache-control': 'no-store',
    },
  );
}

function notAHub(): HubError {
  return new HubError(502, 'The upstream of this mirror did not answer as a Hub does. Check --upstream.');
}
