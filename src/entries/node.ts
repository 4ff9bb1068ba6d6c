/**
 * `xetkit` for Node, Deno and Bun.
 * @module
 */

export { threadCodec, XetClient, xetCaches } from '../client/xet-client.node.ts';
export * from './exports.ts';
