/**
 * `xetkit/codec`: xet-core's chunker, hashes, xorb and shard formats, on the calling thread.
 * @module
 */
import { Codec } from './codec/codec.ts';

export * from './codec/exports.ts';

/** The codec of this thread; loads the WebAssembly module on the first call. */
export function loadCodec(): Promise<Codec> {
  return Codec.load();
}
