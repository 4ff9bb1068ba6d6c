/**
 * `xetkit/fetch`: a `fetch` that gets files of the Hub over Xet.
 * @module
 */

import { XetClient } from '../client/xet-client.ts';
import { makeXetCache, type XetCache, type XetCacheOptions } from '../fetch/match-cache.ts';
import { makeXetFetch, type XetFetch, type XetFetchOptions } from '../fetch/xet-fetch.ts';

export * from '../fetch/exports.ts';

/**
 * A `fetch` that gets files of the Hub over Xet, and passes all other requests on unchanged.
 *
 * @example
 * ```js
 * import { createXetFetch } from 'xetkit/fetch';
 *
 * const xetFetch = createXetFetch();
 * const url = `${process.env.HF_ENDPOINT}/owner/model/resolve/main/model.safetensors`;
 * const response = await xetFetch(url, { headers: { range: 'bytes=0-1023' } });
 * console.log(response.status, (await response.arrayBuffer()).byteLength);
 * await xetFetch.close();
 * ```
 */
export function createXetFetch(options: XetFetchOptions = {}): XetFetch {
  return makeXetFetch(options, (clientOptions) => new XetClient(clientOptions));
}

/** A cache that contains every file of the Hub, for libraries that accept one, such as transformers.js (`env.customCache`). */
export function createXetCache(options: XetCacheOptions = {}): XetCache {
  return makeXetCache(options, (clientOptions) => new XetClient(clientOptions));
}
