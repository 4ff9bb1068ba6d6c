/**
 * `xetkit/codec`: xet-core's chunker, hashes, xorb and shard formats, on the calling thread.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { Codec } from './codec/codec.ts';
import { wasmUrl } from './wasm.ts';

export * from './codec/exports.ts';

/** The codec of this thread; loads the WebAssembly module on the first call. */
export function loadCodec(): Promise<Codec> {
  return Codec.load(() => readFile(wasmUrl));
}
