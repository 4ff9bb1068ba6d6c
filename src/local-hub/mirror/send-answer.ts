import { baseUrl } from '../context.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import type { Mirror } from './mirror.ts';
import { type Answered, staleHeader } from './questions.ts';

/** An answer of the upstream, with addresses of the upstream replaced by those of the mirror. */
export async function sendAnswer(mirror: Mirror, exchange: HubExchange, answer: Answered): Promise<void> {
  const { headers, status } = answer;
  const shown: OutgoingHeaders = { ...headers, ...staleHeader(answer), 'content-length': undefined };
  const base = baseUrl(mirror.context, exchange);
  if (headers.link !== undefined) {
    // Links lead to further pages. The real Hub writes them with its own address.
    shown.link = headers.link.replace(/<https?:\/\/[^/>]+\//g, `<${base}/`);
  }
  if (headers.location?.startsWith(`${mirror.upstream.url}/`)) {
    shown.location = headers.location.slice(mirror.upstream.url.length);
  }
  await exchange.send(status, shown, answer.body);
}
