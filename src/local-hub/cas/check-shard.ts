import { createHash } from 'node:crypto';
import type { Codec } from '../../codec/codec.ts';
import type { Shard, ShardFile } from '../../codec/shard.ts';
import { chunkHashes, chunkSlice } from '../../core/chunks.ts';
import { hashToHex } from '../../core/hash.ts';
import { Breath } from '../breath.ts';
import { HubError } from '../hub-error.ts';
import type { FileRecord, StoredTerm } from '../store/file-store.ts';
import { readFileBytes } from '../store/read-file.ts';
import type { Store } from '../store/store.ts';
import type { StoredXorbIndex } from '../store/xorb-index.ts';

/** Half a terabyte in the largest chunks. */
const MAX_FILE_CHUNKS = 4 * 1024 * 1024;

/** Content that a valid shard registers. */
export interface CheckedShard {
  files: FileRecord[];
  xorbs: StoredXorbIndex[];
}

/**
 * Checks everything that a shard claims against the xorbs that are stored. `onFile` is called after each file.
 *
 * A term may name any stored xorb, if its verification hash shows that the sender knows the hashes of the chunks. Who
 * does not is not told how his claim is wrong: nothing tells a xorb that is not stored from one that is somebody else's.
 */
export async function checkShard(
  codec: Codec,
  store: Store,
  shard: Shard,
  options: { checkSha256: boolean; onFile?: () => void },
): Promise<CheckedShard> {
  if (shard.key) throw refused('its chunk hashes are keyed');
  const xorbs = new Map<string, StoredXorbIndex>();
  const indexOf = async (hash: string): Promise<StoredXorbIndex | undefined> => {
    const known = xorbs.get(hash);
    if (known) return known;
    const index = await store.xorbs.whole(hash);
    if (!index) return undefined;
    xorbs.set(hash, index);
    return index;
  };
  const listed: StoredXorbIndex[] = [];
  for (const { hash, chunks, unpackedBytes } of shard.xorbs) {
    const index = await indexOf(hash);
    if (!index || unpackedBytes !== index.unpackedBytes || Buffer.compare(index.chunks, chunks) !== 0) {
      throw refused(`no xorb ${hash} with the chunks that it lists is stored`);
    }
    listed.push(index);
  }
  const files: FileRecord[] = [];
  for (const file of shard.files) {
    files.push(await checkFile(codec, store, file, indexOf, options.checkSha256));
    options.onFile?.();
  }
  return { files, xorbs: listed };
}

async function checkFile(
  codec: Codec,
  store: Store,
  file: ShardFile,
  indexOf: (hash: string) => Promise<StoredXorbIndex | undefined>,
  checkSha256: boolean,
): Promise<FileRecord> {
  if (file.verification.length !== file.terms.length) throw refused(`file ${file.hash} has terms without verification`);
  const terms: StoredTerm[] = [];
  const runs: Uint8Array[] = [];
  let size = 0;
  const breath = new Breath();
  let count = 0;
  for (const [position, { xorb, chunks, unpackedLength }] of file.terms.entries()) {
    await breath.take();
    // A few bytes of a shard name thousands of chunks.
    count += Math.max(0, chunks.end - chunks.start);
    if (count > MAX_FILE_CHUNKS) throw refused(`file ${file.hash} has more than ${MAX_FILE_CHUNKS} chunks`);
    const index = await indexOf(xorb);
    const fits = index && chunks.start < chunks.end && chunks.end <= index.count;
    const run = fits ? chunkSlice(index.chunks, chunks.start, chunks.end) : new Uint8Array();
    const verification = hashToHex(codec.verificationHash(chunkHashes(run)));
    if (!fits || index.unpackedLength(chunks) !== unpackedLength || verification !== file.verification[position]) {
      throw refused(
        `no stored xorb ${xorb} fits the range, length and verification hash of term ${position} of file ${file.hash}`,
      );
    }
    terms.push({ xorb, chunks, unpackedLength, verification });
    runs.push(run);
    size += unpackedLength;
  }
  const found = hashToHex(codec.fileHash(Buffer.concat(runs)));
  if (found !== file.hash) throw refused(`the terms of file ${file.hash} give the hash ${found}`);
  const stored: FileRecord = { hash: file.hash, size, sha256: file.sha256, terms };
  if (file.sha256 !== undefined) await checkDigest(codec, store, stored, file.sha256, checkSha256);
  return stored;
}

/** The first claim for a digest is checked, and any that contradicts it: commits name content by its sha256 alone. */
async function checkDigest(
  codec: Codec,
  store: Store,
  file: FileRecord,
  sha256: string,
  checkNew: boolean,
): Promise<void> {
  const known = await store.files.object(sha256);
  if (known ? known.xetHash === file.hash : !checkNew) return;
  const digest = createHash('sha256');
  for await (const piece of readFileBytes(store, codec, file)) digest.update(piece);
  const found = digest.digest('hex');
  if (found !== sha256) throw refused(`file ${file.hash} has the sha256 ${found}, not ${sha256}`);
}

function refused(why: string): HubError {
  return new HubError(400, `The shard was refused: ${why}.`);
}
