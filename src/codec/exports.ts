export {
  CHUNK_RECORD_BYTES,
  type ChunkRecords,
  chunkCount,
  chunkHashHex,
  chunkLength,
  chunkSlice,
  totalLength,
} from '../chunks.ts';
export { HASH_BYTES, hashFromHex, hashToHex, isHashHex, ZERO_HASH } from '../hash.ts';
export type { Shard, ShardFile, ShardTerm, ShardWriter, ShardXorb } from '../shard/shard.ts';
export type { Chunker, Codec, CompressionChoice, DecodedRun, PartialFileHash, SerializedXorb } from './codec.ts';
