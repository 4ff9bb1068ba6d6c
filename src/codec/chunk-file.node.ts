import { ChunkRecordList, type ChunkRecords } from '../core/chunks.ts';
import { hashToHex } from '../core/hash.ts';
import { open } from '../fs/disk.node.ts';
import { loadCodec } from './load.node.ts';

interface FileChunks {
  /** Bytes. */
  size: number;
  records: ChunkRecords;
  /** Xet file hash. */
  fileHash: string;
}

const BLOCK_BYTES = 4 * 1024 * 1024;

/** Cuts a file into the chunks that an upload of it would have. `onBlock` receives all of its bytes in order. */
export async function chunkFile(
  path: string,
  signal: AbortSignal,
  onBlock?: (bytes: Uint8Array) => void,
): Promise<FileChunks> {
  const codec = await loadCodec();
  const handle = await open(path);
  const chunker = codec.chunker();
  try {
    const records = new ChunkRecordList();
    const buffer = new Uint8Array(BLOCK_BYTES);
    for (let size = 0; ; ) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, BLOCK_BYTES, null);
      const block = buffer.subarray(0, bytesRead);
      onBlock?.(block);
      records.push(chunker.push(block, bytesRead === 0));
      size += bytesRead;
      if (bytesRead > 0) continue;
      return { size, records: records.records.slice(), fileHash: hashToHex(codec.fileHash(records.records)) };
    }
  } finally {
    chunker.free();
    await handle.close();
  }
}
