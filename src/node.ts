/**
 * `xetkit` for Node, Deno and Bun.
 * @module
 */
import { BaseXetClient } from './client.ts';
import type { XetClientOptions } from './options.ts';
import { nodePlatform } from './platform.node.ts';

export * from './exports.ts';

/** Moves files from Hugging Face repositories over the Xet protocol. One client shares one memory budget. */
export class XetClient extends BaseXetClient {
  constructor(options: XetClientOptions = {}) {
    super(options, nodePlatform);
  }
}
