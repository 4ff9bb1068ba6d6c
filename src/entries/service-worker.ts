/**
 * `xetkit/service-worker`: serves files of the Hub over Xet to all pages of a site, for every kind of request.
 * @module
 */

import { XetClient } from '../client/xet-client.ts';
import { type InstalledXet, type InstallXetOptions, installFetcher } from '../fetch/install.ts';
import type { ServiceWorkerScope } from '../fetch/keep-alive.ts';

export type { InstalledXet, InstallXetOptions } from '../fetch/install.ts';
export type { PageLike, ServiceWorkerScope } from '../fetch/keep-alive.ts';
export type { XetProgressMessage } from '../fetch/worker-messages.ts';
export type { FetchProgress } from '../fetch/xet-fetch.ts';

/**
 * Serves requests for files of the Hub from this service worker. In its script, a module:
 *
 * <!-- service worker -->
 * ```js
 * import { installXet } from 'xetkit/service-worker';
 * installXet(self, { client: { endpoint: 'https://huggingface.co' } });
 * ```
 *
 * In its pages, so that browsers other than Chromium let it finish long downloads:
 *
 * <!-- page -->
 * ```js
 * import { onXetProgress } from 'xetkit/fetch';
 * await navigator.serviceWorker.register('sw.js', { type: 'module' });
 * onXetProgress(({ url, loaded, total, error }) => console.log(url, loaded, total, error));
 * ```
 */
export function installXet(scope: ServiceWorkerScope, options: InstallXetOptions = {}): InstalledXet {
  return installFetcher(scope, options, {
    makeClient: (clientOptions) => new XetClient(clientOptions),
    finishesBodies: isChromium(),
  });
}

interface BrandedNavigator {
  userAgentData?: { brands: readonly { brand: string }[] };
}

/**
 * Chromium keeps a service worker running until its bodies are complete (seen in 156, for over seven minutes). Firefox
 * stops it after 30 s without an event, and ends the body as if it were complete (seen in 153). No API tells which.
 */
function isChromium(): boolean {
  const { userAgentData } = (globalThis.navigator ?? {}) as BrandedNavigator;
  return userAgentData?.brands.some(({ brand }) => brand === 'Chromium') ?? false;
}
