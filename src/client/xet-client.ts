import { openCaches } from '#client/local-caches';
import { platform } from '#client/platform';
import { loadCodec } from '#codec/load';
import { cacheFactory } from '../cache/cache-settings.ts';
import { codecFactory } from '../codec/codec-factory.ts';
import { BaseXetClient } from './client.ts';
import type { CacheFactory, CodecFactory, XetClientOptions } from './options.ts';

/**
 * Moves files to and from Hugging Face repositories over the Xet protocol. All transfers of a client share one memory
 * budget.
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
 * Chunk and recipe caches for a `XetReader`; a `XetClient` has them built in.
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
 * The codec of the calling thread, for a `XetReader` where no worker can start; a `XetClient` has it built in.
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
