import { CHUNK_RECORD_BYTES, type ChunkRecords, totalLength } from '../../core/chunks.ts';
import { HASH_BYTES, hashFromHex } from '../../core/hash.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { chunksFit } from './chunk-runs.ts';
import type { ChunkRun } from './chunk-store.ts';

/*
 * A stored entry: a header, the records of its chunks, and their bytes. All numbers
 * are 32-bit little-endian.
 *
 *   0  'xetchunk'
 *   8  version
 *  12  first chunk
 *  16  last chunk + 1
 *  20  hash of the xorb, raw
 *  52  length of the bytes
 *  56  records, 36 bytes each
 */
const MAGIC = [0x78, 0x65, 0x74, 0x63, 0x68, 0x75, 0x6e, 0x6b];
const HEADER_BYTES = 56;

/** Version of this format. Names of folders and databases contain it, so versions never mix. */
export const ENTRY_VERSION = 1;

/** Returns the length of header and records in an entry of this range. */
export function entryHeadBytes({ start, end }: ChunkRange): number {
  return HEADER_BYTES + (end - start) * CHUNK_RECORD_BYTES;
}

/** Returns the length of a whole entry. */
export function entryBytes({ chunks, records }: Pick<ChunkRun, 'chunks' | 'records'>): number {
  return entryHeadBytes(chunks) + totalLength(records);
}

/** Encodes header and records of an entry. */
export function encodeEntryHead(
  xorb: string,
  { chunks, records }: Pick<ChunkRun, 'chunks' | 'records'>,
): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(entryHeadBytes(chunks));
  head.set(MAGIC);
  const view = new DataView(head.buffer);
  view.setUint32(8, ENTRY_VERSION, true);
  view.setUint32(12, chunks.start, true);
  view.setUint32(16, chunks.end, true);
  head.set(hashFromHex(xorb), 20);
  view.setUint32(52, totalLength(records), true);
  head.set(records, HEADER_BYTES);
  return head;
}

/**
 * Returns the records of an entry without a copy; undefined if its head is not that of these chunks, or contradicts
 * the entry's length. The records of a valid head determine the offset of each chunk.
 */
export function decodeEntryHead(
  head: Uint8Array,
  xorb: string,
  chunks: ChunkRange,
  storedBytes: number,
): ChunkRecords | undefined {
  if (head.length !== entryHeadBytes(chunks)) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const name = hashFromHex(xorb);
  const records = head.subarray(HEADER_BYTES);
  const is =
    MAGIC.every((byte, index) => head[index] === byte) &&
    view.getUint32(8, true) === ENTRY_VERSION &&
    view.getUint32(12, true) === chunks.start &&
    view.getUint32(16, true) === chunks.end &&
    head.subarray(20, 20 + HASH_BYTES).every((byte, index) => byte === name[index]) &&
    chunksFit(records) &&
    totalLength(records) === view.getUint32(52, true) &&
    storedBytes === head.length + totalLength(records);
  return is ? records : undefined;
}
