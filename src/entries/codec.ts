/**
 * `xetkit/codec`: xet-core's chunker, hashes, xorb and shard formats, on the calling thread.
 * @module
 */

export { loadCodec } from '#codec/load';
export * from '../codec/exports.ts';
