// The only door to pkg/. This file stays one folder below the root, as built files do: `../pkg` is right in
// both places, and bundlers follow the module's own reference to its .wasm file from there.
import init from '../pkg/xetkit_codec.js';
import { strayFiles } from './own-files.ts';

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
  sha256Blocks,
  verificationHash,
  xorbHash,
} from '../pkg/xetkit_codec.js';

/** Instantiates the module on this thread, from the given source or, in browsers, from beside pkg's script. */
export async function instantiate(source?: BufferSource | WebAssembly.Module): Promise<WebAssembly.Memory> {
  const from = source ?? strayFiles()?.wasm;
  const { memory } = await init(from ? { module_or_path: from } : undefined);
  return memory;
}
