import type { CodecPool } from '../codec/pool.ts';
import type { ShardFile } from '../codec/shard.ts';
import { hashFile } from '../codec/upload-operations.ts';
import type { ChunkRecordList, ChunkRecords } from '../core/chunks.ts';
import { HASH_BYTES, hashToHex, ZERO_HASH } from '../core/hash.ts';
import { type FileTerm, type FileTerms, verificationRanges } from './file-terms.ts';

/** A file with its hash and terms. */
export interface FinalizedFile {
  /** Bytes. */
  size: number;
  /** Empty if it was not computed. */
  sha256: string;
  xetHash: string;
  terms: FileTerm<string>[];
  /** All chunks of the file in order. */
  records: ChunkRecords;
}

/** A file with a place for each of its chunks. */
interface PlacedFile {
  terms: FileTerms;
  records: ChunkRecordList;
  /** Bytes. */
  size: number;
  sha256: string;
}

/**
 * Computes the hash of a file and the verification hashes of its terms, which prove that the uploader has its chunks (Xet
 * protocol: shard format). `xorbs` are those of this upload, by number.
 */
export async function finalizeFile(
  pool: CodecPool,
  file: PlacedFile,
  xorbs: readonly { hash: string }[],
  signal: AbortSignal,
): Promise<{ finalized: FinalizedFile; listed: ShardFile }> {
  const { size, sha256 } = file;
  const records = file.records.records.slice();
  const nameOf = (xorb: string | number) => (typeof xorb === 'string' ? xorb : (xorbs[xorb]?.hash ?? ''));
  const terms = file.terms.terms.map((term) => ({ ...term, xorb: nameOf(term.xorb) }));
  if (terms.length === 0) {
    const finalized = { size, sha256, xetHash: ZERO_HASH, terms, records };
    return { finalized, listed: { hash: ZERO_HASH, terms, verification: [], sha256: undefined } };
  }
  const counts = Uint32Array.from(verificationRanges(terms), ({ start, end }) => end - start);
  const hashes = await pool.run(hashFile, records.slice(), [counts], signal);
  const xetHash = hashToHex(hashes.hash);
  const verification = terms.map((_, position) => hashToHex(hashes.verification, position * HASH_BYTES));
  return {
    finalized: { size, sha256, xetHash, terms, records },
    listed: { hash: xetHash, terms, verification, sha256: sha256 === '' ? undefined : sha256 },
  };
}
