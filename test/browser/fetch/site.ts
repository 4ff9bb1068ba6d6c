import type { LocalHub } from '../../../src/local-hub/start.ts';
import { besideBundles, bundled, type Pages, startPages } from '../pages.ts';

/** A site with a service worker, and the scripts that its pages run. */
export interface FetchSite extends Omit<Pages, 'page'> {
  /** The address of a page for some cases, and what it will report. */
  page(cases: string, values?: Record<string, string>): ReturnType<Pages['page']>;
  /** Requests that were not answered by a service worker, by path. */
  readonly asked: string[];
}

async function scripts(): Promise<Record<string, Uint8Array>> {
  const worker = 'test/browser/fetch/worker.ts';
  // For browsers without module service workers, bundlers produce a classic script.
  const classic = { format: 'iife', sourcemap: false, define: { 'import.meta.url': 'self.location.href' } } as const;
  return {
    'page.js': await bundled('test/browser/fetch/page.ts'),
    'asker.js': await bundled('test/browser/fetch/asker.ts'),
    'sw.js': await bundled(worker),
    'sw.classic.js': await bundled(worker, classic),
    ...(await besideBundles()),
  };
}

export async function startFetchSite(hub: LocalHub): Promise<FetchSite> {
  const asked: string[] = [];
  const pages = await startPages({
    title: 'xetkit fetch tests',
    files: await scripts(),
    headers: { 'cache-control': 'no-store' },
    onRequest: (path) => asked.push(path),
    routes: {
      // Requests that the Hub has received, which a page cannot see.
      '/traffic': () => ({
        bytes: hub.requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
        kinds: hub.requests.map(({ kind }) => kind),
      }),
      '/pace': (params) => {
        hub.faults.bytesPerSecond = Number(params.get('bytes'));
      },
    },
  });
  hub.allowOrigin(pages.origin);
  return { ...pages, asked, page: (cases, values = {}) => pages.page({ cases, hub: hub.url, ...values }) };
}
