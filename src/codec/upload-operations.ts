import { type ChunkRecords, chunkHashes, chunkSlice } from '../core/chunks.ts';
import { HASH_BYTES } from '../core/hash.ts';
import type { Codec } from './codec.ts';
import type { ShardFile } from './shard.ts';

/** The next chunks of a stream. */
export interface CutBytes {
  bytes: Uint8Array;
  /** The complete chunks; the bytes after them begin a chunk that continues. */
  chunks: ChunkRecords;
}

/**
 * Cuts the next part of a stream, which begins at a chunk boundary, into chunks. Chunk boundaries do not depend on
 * earlier chunks, so no worker has to remember the stream: the bytes of an incomplete chunk are sent again with the
 * next part.
 */
export const cutChunks = {
  name: 'cutChunks',
  run: (codec: Codec, bytes: Uint8Array, last: boolean): CutBytes => {
    const chunker = codec.chunker();
    try {
      return { bytes, chunks: chunker.push(bytes, last) };
    } finally {
      chunker.free();
    }
  },
};

/** Compresses chunks into xorb frames. */
export const packInPlace = {
  name: 'packInPlace',
  run: (codec: Codec, data: Uint8Array, chunks: ChunkRecords) => codec.packInPlace(data, chunks),
};

export const xorbHash = {
  name: 'xorbHash',
  run: (codec: Codec, chunks: ChunkRecords) => codec.xorbHash(chunks),
};

/** Chunk hashes as a shard with this key lists them. */
export const keyedHashes = {
  name: 'keyedHashes',
  run: (codec: Codec, hashes: Uint8Array, key: Uint8Array) => codec.keyedHashes(hashes, key),
};

/** The hash of a file and the verification hashes of its terms, back to back. `counts` are the terms' chunk counts. */
export const hashFile = {
  name: 'hashFile',
  run: (codec: Codec, chunks: ChunkRecords, counts: Uint32Array) => {
    const verification = new Uint8Array(counts.length * HASH_BYTES);
    let at = 0;
    counts.forEach((count, term) => {
      const run = chunkSlice(chunks, at, at + count);
      verification.set(codec.verificationHash(chunkHashes(run)), term * HASH_BYTES);
      at += count;
    });
    return { hash: codec.fileHash(chunks), verification };
  },
};

/** CRC-64/NVME of a stream up to the end of these bytes, and the bytes themselves. */
export const crc64 = {
  name: 'crc64',
  run: (codec: Codec, bytes: Uint8Array, before: bigint) => ({ bytes, checksum: codec.crc64(bytes, before) }),
};

export const sha256Blocks = {
  name: 'sha256Blocks',
  run: (codec: Codec, blocks: Uint8Array, state: Uint8Array) => codec.sha256Blocks(state, blocks),
};

export const readShard = {
  name: 'readShard',
  run: (codec: Codec, bytes: Uint8Array) => codec.readShard(bytes),
};

/** A shard in the form that clients upload. `chunks` are those of all its xorbs, back to back. */
export const writeShard = {
  name: 'writeShard',
  run: (
    codec: Codec,
    chunks: ChunkRecords,
    xorbs: readonly { hash: string; count: number }[],
    files: readonly ShardFile[],
  ): Uint8Array => {
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
  },
};
