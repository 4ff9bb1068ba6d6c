import { loadCodec } from '../codec/load.node.ts';
import { BaseXetClient } from './client.ts';
import { openNodeCaches } from './local-caches.node.ts';
import type { CacheWork, CodecFactory, XetClientOptions } from './options.ts';
import { nodePlatform } from './platform.node.ts';

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
    super(options, nodePlatform);
  }
}

/** Remembers chunks, and how files are built, on the disk: what a `XetClient` does by itself, for a `XetDownloader`. */
export const xetCaches: CacheWork = openNodeCaches;

/** Decodes on the calling thread. Here a `XetDownloader` has it in any case. */
export const threadCodec: CodecFactory = loadCodec;
