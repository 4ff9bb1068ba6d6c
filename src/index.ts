/**
 * `xetkit` for browsers and other places without a file system. Same surface as the Node entry.
 * @module
 */
import { BaseXetClient } from './client.ts';
import type { XetClientOptions } from './options.ts';
import { webPlatform } from './platform.web.ts';

export * from './exports.ts';

/** Moves files from Hugging Face repositories over the Xet protocol. One client shares one memory budget. */
export class XetClient extends BaseXetClient {
  constructor(options: XetClientOptions = {}) {
    super(options, webPlatform);
  }
}
