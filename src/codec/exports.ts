export {
  CHUNK_RECORD_BYTES,
  type ChunkRecords,
  chunkCount,
  chunkHashHex,
  chunkLength,
  chunkSlice,
  totalLength,
} from '../core/chunks.ts';
export { HASH_BYTES, hashFromHex, hashToHex, isHashHex, ZERO_HASH } from '../core/hash.ts';
export type { Chunker, Codec, CompressionChoice, DecodedRun, PartialFileHash, SerializedXorb } from './codec.ts';
export type { Shard, ShardFile, ShardTerm, ShardWriter, ShardXorb } from './shard.ts';
