/**
 * `xetkit/read` for pages that only read, and are to be small: verified downloads without caches, files and uploads.
 * @module
 */

import { readerPlatform } from '#client/reader-platform';
import type { XetReaderOptions } from '../client/options.ts';
import { BaseXetReader, bareParts } from '../client/reader.ts';
import { makeXetFetch, type XetFetch } from '../fetch/xet-fetch.ts';
import type { SmallXetFetchOptions } from './read-exports.ts';

export * from './read-exports.ts';

/**
 * Reads files of Hugging Face repositories over the Xet protocol, and does nothing else: a `XetClient` without caches,
 * files, listings and uploads, in half the size. Every whole file is verified, broken connections go on where they
 * broke, and one memory budget holds for all that is under way.
 *
 * @example
 * ```js
 * import { XetReader } from 'xetkit/read';
 *
 * const reader = new XetReader({ endpoint: process.env.HF_ENDPOINT });
 * const file = await reader.open({ repo: 'owner/model', path: 'model.safetensors' });
 * const bytes = await new Response(file.stream()).arrayBuffer();
 * console.log(file.size, bytes.byteLength);
 * await reader.close();
 * ```
 */
export class XetReader extends BaseXetReader {
  constructor(options: XetReaderOptions = {}) {
    super(...bareParts(options, readerPlatform));
  }
}

/**
 * A `fetch` that gets files of the Hub through Xet, as that of `xetkit/fetch` does, over a {@link XetReader}.
 *
 * @example
 * ```js
 * import { createXetFetch } from 'xetkit/read';
 *
 * const xetFetch = createXetFetch();
 * const url = `${process.env.HF_ENDPOINT}/owner/model/resolve/main/model.safetensors`;
 * console.log((await xetFetch(url)).headers.get('content-length'));
 * await xetFetch.close();
 * ```
 */
export function createXetFetch(options: SmallXetFetchOptions = {}): XetFetch {
  return makeXetFetch(options, (clientOptions) => new XetReader(clientOptions));
}
