/**
 * `xetkit/service-worker`: files of the Hub through Xet for all pages of a site, whatever asks for them.
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
 * Has this service worker answer requests for files of the Hub. In its script, a module:
 *
 * <!-- service worker -->
 * ```js
 * import { installXet } from 'xetkit/service-worker';
 * installXet(self, { client: { endpoint: 'https://huggingface.co' } });
 * ```
 *
 * In its pages, so that browsers other than Chromium let it finish what takes long:
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
 * Chromium runs a worker for as long as a body takes that comes from it (seen in 156, over seven minutes). Firefox
 * stops it after 30 s without an event, and ends the body as if it were whole (seen in 153). Nothing can be
 * asked to tell which it will be.
 */
function isChromium(): boolean {
  const { userAgentData } = navigator as BrandedNavigator;
  return userAgentData?.brands.some(({ brand }) => brand === 'Chromium') ?? false;
}
