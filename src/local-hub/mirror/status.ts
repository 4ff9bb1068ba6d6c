import { formatBytes } from '../../core/format-bytes.ts';
import { baseUrl } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import type { Route } from '../http/route.ts';
import { escapeHtml, sendPage } from '../hub/pages.ts';
import type { Mirror } from './mirror.ts';

/** The pages for those who run a mirror: `/`, `/health` and `/metrics`. None names what private repositories hold. */
export function statusRoute(mirror: Mirror, exchange: HubExchange): Route | undefined {
  if (exchange.method !== 'GET' && exchange.method !== 'HEAD') return undefined;
  const page = (run: () => Promise<void>): Route => ({ family: 'hub', kind: 'other', run });
  switch (exchange.path) {
    case '/':
      return page(() => sendLandingPage(mirror, exchange));
    case '/health':
      return page(() =>
        exchange.json(200, { status: 'ok', upstream: mirror.upstream.isAvailable ? 'available' : 'unavailable' }),
      );
    case '/metrics':
      return page(() =>
        exchange.send(
          200,
          { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' },
          mirror.metrics.text({
            stored_bytes: mirror.cache.bytes,
            fetches_in_flight: mirror.fetches.inFlight,
            upstream_available: mirror.upstream.isAvailable ? 1 : 0,
          }),
        ),
      );
  }
  return undefined;
}

function sendLandingPage(mirror: Mirror, exchange: HubExchange): Promise<void> {
  const { metrics, cache, upstream } = mirror;
  const url = baseUrl(mirror.context, exchange);
  const held = metrics.get('answers_held');
  const answered = held + metrics.get('answers_asked');
  const served = metrics.get('xorb_bytes_served');
  const fetched = metrics.get('xorb_bytes_fetched');
  const share = (part: number, whole: number) => (whole === 0 ? '–' : `${Math.round((100 * part) / whole)} %`);
  const rows: [string, string][] = [
    ['Upstream', `${upstream.url} (${upstream.isAvailable ? 'available' : 'unavailable'})`],
    ['Stored', `${formatBytes(cache.bytes)} in ${cache.count} xorbs`],
    ['Questions answered without the upstream', share(held, answered)],
    ['Bytes served from the store', share(Math.max(0, served - fetched), served)],
    ['Served since the start', formatBytes(served)],
    ['Fetched since the start', formatBytes(fetched)],
    ['Being fetched', `${mirror.fetches.inFlight} ranges`],
  ];
  const table = rows.map(([name, value]) => `<tr><td>${escapeHtml(name)}<td>${escapeHtml(value)}`).join('\n');
  const usage = escapeHtml(`export HF_ENDPOINT=${url}`);
  return sendPage(exchange, 'Mirror', `<pre>${usage}</pre><table>${table}</table>`);
}
