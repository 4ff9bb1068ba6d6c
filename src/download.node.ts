/**
 * `xetkit/download` for Node, Deno and Bun: the same surface as in browsers.
 * @module
 */
import { BaseXetDownloader, bareParts } from './downloader.ts';
import type { XetDownloaderOptions } from './options.ts';
import { nodePlatform } from './platform.node.ts';

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
