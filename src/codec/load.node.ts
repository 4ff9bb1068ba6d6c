import { wasmUrl } from '../assets.ts';
import { readFile } from '../fs/disk.node.ts';
import { Codec } from './codec.ts';

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
