/**
 * `xetkit` for Node, Deno and Bun.
 * @module
 */
import { BaseXetClient } from './client.ts';
import type { XetClientOptions } from './options.ts';
import { nodePlatform } from './platform.node.ts';

export * from './exports.ts';

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
