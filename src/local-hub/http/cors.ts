import type { Exchange, ResponseHeaders } from './exchange.ts';

/** Which part of the service an address belongs to: they differ in what a page of another origin may see. */
export type Family = 'hub' | 'cas' | 'signed';

/** What the Hub lets a page read. The token headers are not among them: pages use the JSON. */
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

export function corsHeaders(family: Family, exchange: Exchange): ResponseHeaders {
  if (family !== 'hub') return { 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' };
  const origin = exchange.header('origin');
  return {
    vary: 'Origin',
    'access-control-allow-origin': origin ?? '*',
    'access-control-max-age': DAY_SECONDS,
    'access-control-expose-headers': HUB_EXPOSED,
  };
}

export function sendPreflight(family: Family, exchange: Exchange): Promise<void> {
  return exchange.send(204, {
    ...corsHeaders(family, exchange),
    'access-control-allow-methods': 'GET,HEAD,POST,PUT,DELETE,OPTIONS',
    // A wildcard would not cover `Authorization`, so what is asked for is named.
    'access-control-allow-headers': exchange.header('access-control-request-headers') ?? '*',
    'access-control-max-age': DAY_SECONDS,
  });
}
