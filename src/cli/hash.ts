import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { chunkFile } from '../codec/chunk-file.node.ts';
import { chunkCount } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import { diskErrors } from '../fs/disk-errors.node.ts';
import type { Output } from './output.ts';

export interface FileHashes {
  localPath: string;
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
  const found = await stat(file).catch((cause: unknown) => {
    throw new XetError(
      'INVALID_ARGUMENT',
      `Cannot read '${file}': ${cause instanceof Error ? cause.message : String(cause)}.`,
      { cause },
    );
  });
  if (found.isDirectory()) throw new XetError('INVALID_ARGUMENT', `'${file}' is a folder, not a file.`);
  const sha256 = createHash('sha256');
  const { size, records, fileHash } = await diskErrors(file, () =>
    chunkFile(file, signal, (block) => void sha256.update(block)),
  );
  return { localPath: file, size, xetHash: fileHash, sha256: sha256.digest('hex'), chunks: chunkCount(records) };
}
