/**
 * `xetkit` for browsers, Node, Deno and Bun.
 * @module
 */

export { threadCodec, XetClient, xetCaches } from '../client/xet-client.ts';
export * from './exports.ts';
