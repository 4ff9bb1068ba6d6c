import { bundled, type Pages, startPages } from './pages.ts';

/** A site whose pages run the suites of the stores. */
export interface Site extends Omit<Pages, 'page'> {
  /** URL of a page for a suite, and its future report. */
  page(suite: string, values?: Record<string, string>): ReturnType<Pages['page']>;
}

export async function startSite(): Promise<Site> {
  const pages = await startPages({
    title: 'xetkit browser tests',
    files: {
      'page.js': await bundled('test/browser/page.ts'),
      'store-worker.js': await bundled('test/browser/store-worker.ts'),
    },
    // A frame with an opaque origin loads the script cross-origin.
    headers: { 'access-control-allow-origin': '*' },
  });
  return { ...pages, page: (suite, values = {}) => pages.page({ suite, ...values }) };
}
