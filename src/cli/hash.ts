import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { ChunkRecordList } from '../chunks.ts';
import { loadCodec } from '../codec.node.ts';
import { XetError } from '../errors.ts';
import { hashToHex } from '../hash.ts';
import type { Output } from './output.ts';

const BLOCK_BYTES = 4 * 1024 * 1024;

export interface FileHashes {
  file: string;
  size: number;
  xetHash: string;
  sha256: string;
  chunks: number;
}

/** `xetkit hash`: the hashes that an upload of the file would have, in one pass over it. */
export async function hash(files: string[], output: Output, signal: AbortSignal): Promise<void> {
  for (const file of files) {
    const hashes = await hashFile(file, signal);
    output.record(hashes);
    output.result(`${hashes.xetHash}  ${file}`);
  }
}

export async function hashFile(file: string, signal: AbortSignal): Promise<FileHashes> {
  const codec = await loadCodec();
  const handle = await open(file).catch((cause: unknown) => {
    throw new XetError(
      'INVALID_ARGUMENT',
      `Cannot read '${file}': ${cause instanceof Error ? cause.message : String(cause)}.`,
      { cause },
    );
  });
  const chunker = codec.chunker();
  try {
    if ((await handle.stat()).isDirectory())
      throw new XetError('INVALID_ARGUMENT', `'${file}' is a folder, not a file.`);
    const sha256 = createHash('sha256');
    const records = new ChunkRecordList();
    const buffer = new Uint8Array(BLOCK_BYTES);
    let size = 0;
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, BLOCK_BYTES);
      const block = buffer.subarray(0, bytesRead);
      sha256.update(block);
      records.push(chunker.push(block, bytesRead === 0));
      size += bytesRead;
      if (bytesRead === 0) break;
    }
    const xetHash = hashToHex(codec.fileHash(records.records));
    return { file, size, xetHash, sha256: sha256.digest('hex'), chunks: records.count };
  } finally {
    chunker.free();
    await handle.close();
  }
}
