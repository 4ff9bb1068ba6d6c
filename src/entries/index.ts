/**
 * `xetkit` for browsers and other places without a file system. Same surface as the Node entry.
 * @module
 */

export { threadCodec, XetClient, xetCaches } from '../client/xet-client.web.ts';
export * from './exports.ts';
