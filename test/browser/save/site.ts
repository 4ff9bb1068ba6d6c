import type { FaultRule } from '../../../src/entries/local-hub.ts';
import type { LocalHub } from '../../../src/local-hub/start.ts';
import { besideBundles, bundled, type Pages, startPages } from '../pages.ts';
import type { HubOrder, Traffic } from './page-hub.ts';

/** A site whose pages save files of a Hub, and may tell that Hub what to do. */
export interface SaveSite extends Omit<Pages, 'page'> {
  /** The address of a page for some cases, and what it will report. */
  page(cases: string, values?: Record<string, string>): ReturnType<Pages['page']>;
}

function obey(hub: LocalHub, order: HubOrder): Traffic {
  if (order.reset) hub.resetRequests();
  if (order.clear) hub.faults.clear();
  if (order.bytesPerSecond !== undefined) hub.faults.bytesPerSecond = order.bytesPerSecond;
  if (order.fault) hub.faults.add(order.fault as FaultRule);
  const bytes: Traffic['bytes'] = {};
  for (const { kind, bytesSent } of hub.requests) bytes[kind] = (bytes[kind] ?? 0) + bytesSent;
  return { bytes };
}

export async function startSaveSite(hub: LocalHub): Promise<SaveSite> {
  const pages = await startPages({
    title: 'xetkit save tests',
    files: { 'page.js': await bundled('test/browser/save/page.ts'), ...(await besideBundles()) },
    head: (params) => (params.has('noWorkers') ? '<script>delete window.Worker</script>' : ''),
    headers: { 'cache-control': 'no-store' },
    routes: { '/hub': (_params, order) => obey(hub, order as HubOrder) },
  });
  hub.allowOrigin(pages.origin);
  return { ...pages, page: (cases, values = {}) => pages.page({ cases, hub: hub.url, ...values }) };
}
