/**
 * `xetkit/download` for Node, Deno and Bun: the same surface as in browsers.
 * @module
 */

import type { XetDownloaderOptions } from '../client/options.ts';
import { nodePlatform } from '../client/platform.node.ts';
import { BaseXetDownloader, bareParts } from '../client/reader.ts';
import { makeXetFetch, type XetFetch } from '../fetch/xet-fetch.ts';
import type { SmallXetFetchOptions } from './download-exports.ts';

export * from './download-exports.ts';

/**
 * Reads files of Hugging Face repositories over the Xet protocol, and does nothing else: a `XetClient` without caches,
 * files, listings and uploads.
 */
export class XetDownloader extends BaseXetDownloader {
  constructor(options: XetDownloaderOptions = {}) {
    super(...bareParts(options, nodePlatform));
  }
}

/**
 * A `fetch` that gets files of the Hub through Xet, as that of `xetkit/fetch` does, over a {@link XetDownloader}.
 *
 * @example
 * ```js
 * import { createXetFetch } from 'xetkit/download';
 *
 * const xetFetch = createXetFetch();
 * const url = `${process.env.HF_ENDPOINT}/owner/model/resolve/main/model.safetensors`;
 * console.log((await xetFetch(url)).headers.get('content-length'));
 * await xetFetch.close();
 * ```
 */
export function createXetFetch(options: SmallXetFetchOptions = {}): XetFetch {
  return makeXetFetch(options, (clientOptions) => new XetDownloader(clientOptions));
}
