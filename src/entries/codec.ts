/**
 * `xetkit/codec`: xet-core's chunker, hashes, xorb and shard formats, on the calling thread.
 * @module
 */
export * from '../codec/exports.ts';
export { loadCodec } from '../codec/load.web.ts';
