import { ChunkRecordList } from '../core/chunks.ts';
import { hashToHex } from '../core/hash.ts';
import { Codec } from './codec.ts';

/** Hashed at once, in bytes: less than the time of a frame. */
const BLOCK_BYTES = 1024 * 1024;

/**
 * The Xet file hash of what is in a file. Files that were uploaded long ago were cut by other rules and have another
 * one: those are not recognised.
 */
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
