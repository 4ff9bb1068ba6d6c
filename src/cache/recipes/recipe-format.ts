import { CHUNK_RECORD_BYTES, chunkLength, MAX_CHUNK_BYTES } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import { HASH_BYTES, hashFromHex, hashToHex, isHashHex } from '../../core/hash.ts';
import type { Recipe, RecipeTerm } from '../../core/recipe.ts';

/*
 * A recipe as bytes; all numbers are little-endian.
 *
 *   header    magic (8 bytes), version (u32), terms (u32), chunks (u32), file size (u64), file hash (32 bytes)
 *   terms     xorb hash (32 bytes), first chunk (u32), end chunk (u32), uncompressed length (u64)
 *   chunks    records of 36 bytes
 *   checksum  of everything before it (8 bytes)
 *
 * The counts determine the total length, so a damaged count allocates nothing. Every part is a
 * multiple of four bytes long, which the checksum relies on.
 */
const MAGIC = Uint8Array.from('xetrecip', (letter) => letter.charCodeAt(0));
const VERSION = 1;
const AT_VERSION = 8;
const AT_TERMS = 12;
const AT_CHUNKS = 16;
const AT_SIZE = 20;
const AT_HASH = 28;
const HEADER_BYTES = AT_HASH + HASH_BYTES;
const TERM_BYTES = HASH_BYTES + 16;
const CHECKSUM_BYTES = 8;
const MAX_U32 = 0xffff_ffff;

/** Length of an encoded recipe, in bytes. */
export function encodedLength(recipe: Pick<Recipe, 'terms' | 'records'>): number {
  return HEADER_BYTES + recipe.terms.length * TERM_BYTES + recipe.records.length + CHECKSUM_BYTES;
}

/** Encodes a recipe. Throws `INVALID_ARGUMENT` for an inconsistent one, which could not be decoded. */
export function encodeRecipe(recipe: Recipe): Uint8Array<ArrayBuffer> {
  const bytes = encodeIfConsistent(recipe);
  if (!bytes) throw new XetError('INVALID_ARGUMENT', 'The recipe of a file contradicts itself.');
  return bytes;
}

/** Encodes a recipe for stores, which ignore inconsistent ones. */
export function encodeIfConsistent(recipe: Recipe): Uint8Array<ArrayBuffer> | undefined {
  if (!isConsistent(recipe)) return undefined;
  const bytes = new Uint8Array(encodedLength(recipe));
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(AT_VERSION, VERSION, true);
  view.setUint32(AT_TERMS, recipe.terms.length, true);
  view.setUint32(AT_CHUNKS, recipe.records.length / CHUNK_RECORD_BYTES, true);
  view.setBigUint64(AT_SIZE, BigInt(recipe.size), true);
  bytes.set(hashFromHex(recipe.fileHash), AT_HASH);
  let at = HEADER_BYTES;
  for (const { xorb, chunks, unpackedLength } of recipe.terms) {
    bytes.set(hashFromHex(xorb), at);
    view.setUint32(at + HASH_BYTES, chunks.start, true);
    view.setUint32(at + HASH_BYTES + 4, chunks.end, true);
    view.setBigUint64(at + HASH_BYTES + 8, BigInt(unpackedLength), true);
    at += TERM_BYTES;
  }
  bytes.set(recipe.records, at);
  at += recipe.records.length;
  view.setBigUint64(at, checksum(view, at), true);
  return bytes;
}

/**
 * Decodes a recipe. Returns undefined for bytes that are not a complete and consistent recipe of this file.
 * Never throws. The records are a view of `bytes`.
 */
export function decodeRecipe(bytes: Uint8Array, fileHash: string): Recipe | undefined {
  if (!isHashHex(fileHash) || bytes.length < HEADER_BYTES + CHECKSUM_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (!MAGIC.every((byte, index) => bytes[index] === byte) || view.getUint32(AT_VERSION, true) !== VERSION) {
    return undefined;
  }
  const termCount = view.getUint32(AT_TERMS, true);
  const recordBytes = view.getUint32(AT_CHUNKS, true) * CHUNK_RECORD_BYTES;
  const atRecords = HEADER_BYTES + termCount * TERM_BYTES;
  const atChecksum = atRecords + recordBytes;
  if (bytes.length !== atChecksum + CHECKSUM_BYTES) return undefined;
  if (view.getBigUint64(atChecksum, true) !== checksum(view, atChecksum)) return undefined;
  if (hashToHex(bytes, AT_HASH) !== fileHash) return undefined;
  const terms: RecipeTerm[] = [];
  for (let at = HEADER_BYTES; at < atRecords; at += TERM_BYTES) {
    terms.push({
      xorb: hashToHex(bytes, at),
      chunks: {
        start: view.getUint32(at + HASH_BYTES, true),
        end: view.getUint32(at + HASH_BYTES + 4, true),
      },
      unpackedLength: Number(view.getBigUint64(at + HASH_BYTES + 8, true)),
    });
  }
  // Not `subarray`, which returns a Buffer for a Buffer.
  const records = new Uint8Array(bytes.buffer, bytes.byteOffset + atRecords, recordBytes);
  const recipe = { fileHash, size: Number(view.getBigUint64(AT_SIZE, true)), terms, records };
  return isConsistent(recipe) ? recipe : undefined;
}

/** True if all counts and lengths agree: terms with their chunks, chunks with the limits, and their sum with the size. */
function isConsistent({ fileHash, size, terms, records }: Recipe): boolean {
  if (!isHashHex(fileHash) || records.length % CHUNK_RECORD_BYTES !== 0) return false;
  const chunks = records.length / CHUNK_RECORD_BYTES;
  if (chunks > MAX_U32 || terms.length > MAX_U32) return false;
  let next = 0;
  let total = 0;
  for (const term of terms) {
    const { start, end } = term.chunks;
    if (!isHashHex(term.xorb) || !isU32(start) || !isU32(end) || start >= end) return false;
    const last = next + end - start;
    if (last > chunks) return false;
    let length = 0;
    for (; next < last; next++) {
      const chunk = chunkLength(records, next);
      if (chunk < 1 || chunk > MAX_CHUNK_BYTES) return false;
      length += chunk;
    }
    if (length !== term.unpackedLength) return false;
    total += length;
  }
  return next === chunks && total === size;
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_U32;
}

/**
 * Computes two 32-bit sums with different mixing, against accidental damage only. Takes a tenth of the time that BigInt
 * arithmetic or a byte-wise table would take: a recipe may have tens of megabytes, on a page's main thread.
 */
function checksum(view: DataView, length: number): bigint {
  let low = 0x2545_f491 ^ length;
  let high = 0x4f6c_dd1d ^ length;
  for (let at = 0; at < length; at += 4) {
    const word = view.getUint32(at, true);
    const mixed = Math.imul(word, 0xcc9e_2d51);
    low ^= Math.imul((mixed << 15) | (mixed >>> 17), 0x1b87_3593);
    low = (Math.imul((low << 13) | (low >>> 19), 5) + 0xe654_6b64) | 0;
    high = Math.imul(((high << 11) | (high >>> 21)) ^ word, 0x85eb_ca6b);
  }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
