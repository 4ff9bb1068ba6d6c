/**
 * `xetkit/codec`: xet-core's chunker, hashes, xorb and shard formats, on the calling thread.
 * @module
 */
import { Codec } from './codec/codec.ts';
import { readFile } from './disk/disk.node.ts';
import { wasmUrl } from './own-files.ts';

export * from './codec/exports.ts';

/**
 * The codec of this thread; loads the WebAssembly module on the first call.
 *
 * @example
 * ```js
 * import { chunkCount, hashToHex, loadCodec } from 'xetkit/codec';
 *
 * const codec = await loadCodec();
 * const chunker = codec.chunker();
 * const chunks = chunker.push(new Uint8Array(300_000), true);
 * chunker.free();
 * console.log(chunkCount(chunks), hashToHex(codec.fileHash(chunks)));
 * ```
 */
export function loadCodec(): Promise<Codec> {
  return Codec.load(() => readFile(wasmUrl()));
}
