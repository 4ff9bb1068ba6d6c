import { ChunkRecordList } from '../core/chunks.ts';
import { hashToHex } from '../core/hash.ts';
import { Codec } from './codec.ts';

/** Bytes hashed without yielding: they take less time than a frame. */
const BLOCK_BYTES = 1024 * 1024;

/** The Xet file hash of a Blob. Files uploaded long ago were chunked by other rules, so their hashes differ from it. */
export async function xetHashOf(file: Blob, signal: AbortSignal): Promise<string> {
  const codec = await Codec.load();
  const chunker = codec.chunker();
  const records = new ChunkRecordList();
  try {
    for (let at = 0; at < file.size; at += BLOCK_BYTES) {
      signal.throwIfAborted();
      const block = new Uint8Array(await file.slice(at, at + BLOCK_BYTES).arrayBuffer());
      records.push(chunker.push(block, at + BLOCK_BYTES >= file.size));
    }
    return hashToHex(codec.fileHash(records.records.slice()));
  } finally {
    chunker.free();
  }
}
