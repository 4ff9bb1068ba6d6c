import { readBody } from '../http/body-reader.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import type { Mirror } from './mirror.ts';
import type { HubTarget } from './target.ts';

/** Commits with files inside may be large; xorbs have 64 MiB. */
const MAX_BODY_BYTES = 128 * 1024 * 1024;

/** Headers of a request that the upstream needs to see. */
const SENT = ['content-type', 'accept', 'range', 'x-range-dirty'] as const;

/**
 * A change, handed to the upstream as a whole or not at all: nothing is sent before all of it is here, and the answer is
 * the upstream's.
 */
export async function forwardToHub(
  mirror: Mirror,
  exchange: HubExchange,
  target: HubTarget | undefined,
): Promise<void> {
  if (!mirror.acceptsUploads) throw uploadsRefused();
  const asker = mirror.askers.of(exchange);
  await forward(mirror, exchange, mirror.upstream.url + (exchange.request.url ?? '/'), asker.authorization);
  if (target) mirror.questions.forget(target.repo);
}

/** A request to the upstream's CAS, with the upstream's token in the place of the mirror's. */
export async function forwardToCas(mirror: Mirror, exchange: HubExchange, rest: readonly string[]): Promise<void> {
  const grant = mirror.tokens.unseal(exchange.bearer());
  const isWrite = grant.scope.endsWith('/xet-write-token');
  if (!isWrite || !mirror.acceptsUploads) throw new HubError(403, 'Token does not allow writing');
  if (grant.accessToken === undefined) throw new HubError(502, 'The upstream of this mirror cannot be reached.');
  const path = rest.map(encodeURIComponent).join('/');
  const query = (exchange.request.url ?? '').slice(exchange.path.length);
  await forward(mirror, exchange, `${grant.casUrl}/${path}${query}`, `Bearer ${grant.accessToken}`);
}

async function forward(
  mirror: Mirror,
  exchange: HubExchange,
  url: string,
  authorization: string | undefined,
): Promise<void> {
  const body = await readBody(exchange.request, MAX_BODY_BYTES);
  const headers: Record<string, string> = {};
  for (const name of SENT) {
    const value = exchange.header(name);
    if (value !== undefined) headers[name] = value;
  }
  const answer = await mirror.upstream.open(url, {
    method: exchange.method,
    headers,
    authorization,
    signal: exchange.signal,
    ...(exchange.method !== 'GET' && exchange.method !== 'HEAD' && { body }),
  });
  const shown: OutgoingHeaders = { ...answer.headers, 'content-length': undefined };
  const length = answer.headers['content-length'];
  await exchange.send(answer.status, shown, {
    length: length === undefined ? undefined : Number(length),
    pieces: answer.pieces,
  });
}

/** Refusal of an upload. */
export function uploadsRefused(): HubError {
  return new HubError(
    403,
    'This mirror takes no uploads. Send them to the Hub itself, or start the mirror with --uploads proxy.',
  );
}
