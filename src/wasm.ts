// The only door to pkg/. This file stays one folder below the root, as built files do: `../pkg` is right in
// both places, and bundlers follow the module's own reference to its .wasm file from there.
import init, { initSync } from '../pkg/xetkit_codec.js';
import { assetOverrides } from './assets.ts';

export {
  Chunker,
  chunkHash,
  crc64,
  fileHash,
  keyedHashes,
  PartialFileHash,
  RunCodec,
  readShard,
  ShardBuilder,
  sha256Blocks,
  verificationHash,
  xorbHash,
} from '../pkg/xetkit_codec.js';

/** Instantiates the module on this thread, from the given source or, in browsers, from beside pkg's script. */
export async function instantiate(source?: BufferSource | WebAssembly.Module): Promise<WebAssembly.Memory> {
  if (source) {
    // Not by `init`, which asks for the class `Response`: with that, Node loads all that its `fetch` consists of.
    const module = source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source);
    return initSync({ module }).memory;
  }
  const from = assetOverrides()?.wasm;
  const { memory } = await init(from ? { module_or_path: from } : undefined);
  return memory;
}
