// The only door to pkg/. This file stays one folder below the root, as built files do: `../pkg` is right in
// both places, and bundlers follow the module's own reference to its .wasm file from there.
import init from '../pkg/xetkit_codec.js';

export {
  Chunker,
  chunkHash,
  Decoder,
  fileHash,
  keyedHashes,
  PartialFileHash,
  readShard,
  ShardBuilder,
  serializeXorb,
  verificationHash,
  xorbHash,
} from '../pkg/xetkit_codec.js';

/** Where the module lies, for places that read it from disk. */
export const wasmUrl = new URL('../pkg/xetkit_codec_bg.wasm', import.meta.url);

/** Instantiates the module on this thread, from the given source or, in browsers, from beside pkg's script. */
export async function instantiate(source?: BufferSource | WebAssembly.Module): Promise<WebAssembly.Memory> {
  const { memory } = await init(source === undefined ? undefined : { module_or_path: source });
  return memory;
}
