import { openCaches } from '#client/local-caches';
import { platform } from '#client/platform';
import { loadCodec } from '#codec/load';
import { cacheFactory } from '../cache/cache-settings.ts';
import { codecFactory } from '../codec/codec-factory.ts';
import { BaseXetClient } from './client.ts';
import type { CacheFactory, CodecFactory, XetClientOptions } from './options.ts';

/**
 * Moves files from Hugging Face repositories over the Xet protocol. One client shares one memory budget.
 *
 * @example
 * ```js
 * import { XetClient } from 'xetkit';
 *
 * const client = new XetClient({ memoryBudget: 128 * 1024 * 1024, concurrency: 8 });
 * const { size, xetHash } = await client.fileInfo({ repo: 'owner/model', path: 'config.json' });
 * console.log(size, xetHash, client.metrics().requests);
 * await client.close();
 * ```
 */
export class XetClient extends BaseXetClient {
  constructor(options: XetClientOptions = {}) {
    super(options, platform);
  }
}

/**
 * Remembers chunks, and how files are built, in the browser: what a `XetClient` does by itself, and a `XetReader` when it
 * is handed in.
 *
 * @example
 * <!-- page -->
 * ```js
 * import { xetCaches } from 'xetkit';
 * import { XetReader } from 'xetkit/read';
 *
 * const reader = new XetReader({ caches: xetCaches });
 * ```
 */
export const xetCaches: CacheFactory = /* @__PURE__ */ cacheFactory(openCaches);

/**
 * Decodes on the calling thread, as a `XetClient` does by itself where no worker can be started; for a `XetReader` in such
 * places.
 *
 * @example
 * <!-- page -->
 * ```js
 * import { threadCodec } from 'xetkit';
 * import { XetReader } from 'xetkit/read';
 *
 * const reader = new XetReader({ codec: threadCodec });
 * ```
 */
export const threadCodec: CodecFactory = /* @__PURE__ */ codecFactory(loadCodec);
