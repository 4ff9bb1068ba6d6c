import type { CodecPool } from '../codec/pool.ts';
import type { ShardFile } from '../codec/shard.ts';
import { hashFile } from '../codec/upload-operations.ts';
import type { ChunkRecordList, ChunkRecords } from '../core/chunks.ts';
import { HASH_BYTES, hashToHex, ZERO_HASH } from '../core/hash.ts';
import { type FileTerm, type FileTerms, verificationRanges } from './file-terms.ts';

export interface UploadedFile {
  /** Bytes. */
  size: number;
  sha256: string;
  xetHash: string;
  terms: FileTerm<string>[];
  /** All chunks of the file in order. */
  records: ChunkRecords;
}

/** A file of which every chunk has its place. */
export interface CutFile {
  terms: FileTerms;
  records: ChunkRecordList;
  /** Bytes. */
  size: number;
  sha256: string;
}

/** Names a file and proves that whoever registers it has its chunks. `xorbs` are those of this upload, by their numbers. */
export async function sealFile(
  pool: CodecPool,
  file: CutFile,
  xorbs: readonly { hash: string }[],
  signal: AbortSignal,
): Promise<{ uploaded: UploadedFile; listed: ShardFile }> {
  const { size, sha256 } = file;
  const records = file.records.records.slice();
  const nameOf = (xorb: string | number) => (typeof xorb === 'string' ? xorb : (xorbs[xorb]?.hash ?? ''));
  const terms = file.terms.terms.map((term) => ({ ...term, xorb: nameOf(term.xorb) }));
  if (terms.length === 0) {
    const uploaded = { size, sha256, xetHash: ZERO_HASH, terms, records };
    return { uploaded, listed: { hash: ZERO_HASH, terms, verification: [], sha256 } };
  }
  const counts = Uint32Array.from(verificationRanges(terms), ({ start, end }) => end - start);
  const sealed = await pool.run(hashFile, records.slice(), [counts], signal);
  const xetHash = hashToHex(sealed.hash);
  const verification = terms.map((_, position) => hashToHex(sealed.verification, position * HASH_BYTES));
  return {
    uploaded: { size, sha256, xetHash, terms, records },
    listed: { hash: xetHash, terms, verification, sha256 },
  };
}
