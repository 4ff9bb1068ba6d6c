import { type ChunkRecords, chunkHashes, chunkSlice } from '../core/chunks.ts';
import { HASH_BYTES } from '../core/hash.ts';
import type { Codec } from './codec.ts';
import type { ShardFile } from './shard.ts';

/** What an upload asks of a codec beside the other operations. */
export const uploadOperations = {
  packInPlace: (codec: Codec, data: Uint8Array, chunks: ChunkRecords) => codec.packInPlace(data, chunks),
  cutChunks,
  sealFile,
  crc64,
  sha256Blocks: (codec: Codec, blocks: Uint8Array, state: Uint8Array) => codec.sha256Blocks(state, blocks),
  readShard: (codec: Codec, bytes: Uint8Array) => codec.readShard(bytes),
  writeShard,
};

/** Chunks of the next bytes of a stream, from the end of a chunk on. */
export interface CutBytes {
  bytes: Uint8Array;
  /** The chunks that are whole: what comes after them belongs to a chunk that goes on. */
  chunks: ChunkRecords;
}

/**
 * Cuts what comes next of a stream into chunks. Nothing of what came before a chunk has a say in where it ends, so
 * no worker has to remember the stream: the bytes of a chunk that is not whole yet are given again with the next ones.
 */
function cutChunks(codec: Codec, bytes: Uint8Array, last: boolean): CutBytes {
  const chunker = codec.chunker();
  try {
    return { bytes, chunks: chunker.push(bytes, last) };
  } finally {
    chunker.free();
  }
}

/** The hash of a file, and the proofs of its terms: raw hashes, back to back. `counts` are the chunks of each term. */
function sealFile(
  codec: Codec,
  chunks: ChunkRecords,
  counts: Uint32Array,
): { hash: Uint8Array; verification: Uint8Array } {
  const verification = new Uint8Array(counts.length * HASH_BYTES);
  let at = 0;
  counts.forEach((count, term) => {
    const run = chunkSlice(chunks, at, at + count);
    verification.set(codec.verificationHash(chunkHashes(run)), term * HASH_BYTES);
    at += count;
  });
  return { hash: codec.fileHash(chunks), verification };
}

/** CRC-64/NVME of bytes that go on with others, and the bytes back. */
function crc64(codec: Codec, bytes: Uint8Array, before: bigint): { bytes: Uint8Array; checksum: bigint } {
  return { bytes, checksum: codec.crc64(bytes, before) };
}

/** A shard as clients upload it. `chunks` are those of all its xorbs, back to back. */
function writeShard(
  codec: Codec,
  chunks: ChunkRecords,
  xorbs: readonly { hash: string; count: number }[],
  files: readonly ShardFile[],
): Uint8Array {
  const writer = codec.shardWriter();
  try {
    let at = 0;
    for (const { hash, count } of xorbs) {
      writer.addXorb({ hash, chunks: chunkSlice(chunks, at, at + count) });
      at += count;
    }
    for (const file of files) writer.addFile(file);
    return writer.toUpload();
  } finally {
    writer.free();
  }
}
