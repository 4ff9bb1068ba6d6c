import { createHash } from 'node:crypto';
import { chunkHashes, chunkSlice } from '../../chunks.ts';
import type { Codec } from '../../codec/codec.ts';
import { hashToHex } from '../../hash.ts';
import type { Shard, ShardFile } from '../../shard/shard.ts';
import { HubError } from '../hub-error.ts';
import type { StoredFile, StoredTerm } from '../store/file-store.ts';
import { readFileBytes } from '../store/read-file.ts';
import type { Store } from '../store/store.ts';
import type { XorbIndex } from '../store/xorb-index.ts';

/** What a good shard registers. */
export interface CheckedShard {
  files: StoredFile[];
  xorbs: XorbIndex[];
}

/** Checks everything that a shard claims against the xorbs that are stored. `onFile` is called after each file. */
export async function checkShard(
  codec: Codec,
  store: Store,
  shard: Shard,
  options: { checkSha256: boolean; onFile?: () => Promise<void> },
): Promise<CheckedShard> {
  if (shard.key) throw refused('its chunk hashes are keyed');
  const xorbs = new Map<string, XorbIndex>();
  const indexOf = async (hash: string): Promise<XorbIndex> => {
    const known = xorbs.get(hash);
    if (known) return known;
    const index = await store.xorbs.whole(hash);
    if (!index) throw refused(`xorb ${hash} is not stored`);
    xorbs.set(hash, index);
    return index;
  };
  const listed: XorbIndex[] = [];
  for (const { hash, chunks, unpackedBytes } of shard.xorbs) {
    const index = await indexOf(hash);
    if (Buffer.compare(index.chunks, chunks) !== 0) throw refused(`it lists other chunks for xorb ${hash}`);
    if (unpackedBytes !== index.unpackedBytes) throw refused(`it gives xorb ${hash} ${unpackedBytes} bytes`);
    listed.push(index);
  }
  const files: StoredFile[] = [];
  for (const file of shard.files) {
    files.push(await checkFile(codec, store, file, indexOf, options.checkSha256));
    await options.onFile?.();
  }
  return { files, xorbs: listed };
}

async function checkFile(
  codec: Codec,
  store: Store,
  file: ShardFile,
  indexOf: (hash: string) => Promise<XorbIndex>,
  checkSha256: boolean,
): Promise<StoredFile> {
  if (file.verification.length !== file.terms.length) throw refused(`file ${file.hash} has terms without verification`);
  const terms: StoredTerm[] = [];
  const runs: Uint8Array[] = [];
  let size = 0;
  for (const [position, { xorb, chunks, unpackedLength }] of file.terms.entries()) {
    const index = await indexOf(xorb);
    const what = `term ${position} of file ${file.hash}`;
    if (chunks.start >= chunks.end || chunks.end > index.count) throw refused(`${what} is out of its xorb's range`);
    if (index.unpackedLength(chunks) !== unpackedLength) throw refused(`${what} has a wrong length`);
    const run = chunkSlice(index.chunks, chunks.start, chunks.end);
    const verification = hashToHex(codec.verificationHash(chunkHashes(run)));
    if (verification !== file.verification[position]) throw refused(`${what} has a wrong verification hash`);
    terms.push({ xorb, chunks, unpackedLength, verification });
    runs.push(run);
    size += unpackedLength;
  }
  const found = hashToHex(codec.fileHash(Buffer.concat(runs)));
  if (found !== file.hash) throw refused(`the terms of file ${file.hash} give the hash ${found}`);
  const stored: StoredFile = { hash: file.hash, size, sha256: file.sha256, terms };
  if (checkSha256 && file.sha256 !== undefined) await checkDigest(codec, store, stored, file.sha256);
  return stored;
}

async function checkDigest(codec: Codec, store: Store, file: StoredFile, sha256: string): Promise<void> {
  if ((await store.files.object(sha256))?.xetHash === file.hash) return;
  const digest = createHash('sha256');
  for await (const piece of readFileBytes(store, codec, file)) digest.update(piece);
  const found = digest.digest('hex');
  if (found !== sha256) throw refused(`file ${file.hash} has the sha256 ${found}, not ${sha256}`);
}

function refused(why: string): HubError {
  return new HubError(400, `The shard was refused: ${why}.`);
}
