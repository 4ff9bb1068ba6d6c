import type { HubExchange, OutgoingHeaders } from './exchange.ts';

/** Part of the service that an address belongs to: they differ in what a page of another origin may see. */
export type Family = 'hub' | 'cas' | 'signed';

/** Headers that pages may read. Token headers are excluded: pages use the JSON. */
const HUB_EXPOSED = [
  'X-Repo-Commit',
  'X-Request-Id',
  'X-Error-Code',
  'X-Error-Message',
  'X-Total-Count',
  'ETag',
  'Link',
  'Accept-Ranges',
  'Content-Range',
  'X-Linked-Size',
  'X-Linked-ETag',
  'X-Xet-Hash',
].join(',');

const DAY_SECONDS = 86_400;

/** CORS headers of an answer. Pages of unknown origins send no token, so they read only what is public. */
export function corsHeaders(family: Family, exchange: HubExchange): OutgoingHeaders {
  if (family !== 'hub') return { 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' };
  const origin = exchange.header('origin');
  return {
    vary: 'Origin',
    'access-control-allow-origin': origin ?? '*',
    'access-control-max-age': DAY_SECONDS,
    'access-control-expose-headers': HUB_EXPOSED,
  };
}

/** A page that this Hub does not know may read only, and send the tokens of the CAS but none of the Hub. */
export function sendPreflight(family: Family, exchange: HubExchange, foreign: boolean): Promise<void> {
  // A wildcard would not cover `Authorization`, so what is asked for is named.
  const asked = exchange.header('access-control-request-headers') ?? '*';
  const headers = foreign && family !== 'cas' ? withoutToken(asked) : asked;
  const nearby = !foreign && exchange.header('access-control-request-private-network') === 'true';
  return exchange.send(204, {
    ...corsHeaders(family, exchange),
    vary: 'Origin, Access-Control-Request-Headers',
    'access-control-allow-methods': foreign ? 'GET,HEAD,OPTIONS' : 'GET,HEAD,POST,PUT,DELETE,OPTIONS',
    'access-control-allow-headers': headers === '' ? undefined : headers,
    'access-control-max-age': foreign ? 0 : DAY_SECONDS,
    ...(nearby && { 'access-control-allow-private-network': 'true' }),
  });
}

function withoutToken(names: string): string {
  return names
    .split(',')
    .filter((name) => name.trim().toLowerCase() !== 'authorization')
    .join(',');
}
