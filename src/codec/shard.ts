import { CHUNK_RECORD_BYTES, type ChunkRecords } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import { HASH_BYTES, hashFromHex, hashToHex } from '../core/hash.ts';

/** Consecutive chunks of one xorb that form a part of a file (Xet protocol: shard format). Indices are half-open. */
export interface ShardTerm {
  /** 64 hexadecimal digits, in the protocol's byte order. */
  xorb: string;
  /** Uncompressed bytes of the chunks. */
  unpackedLength: number;
  /** Indices of its chunks; `end` is excluded. */
  chunks: { start: number; end: number };
}

/** The terms of a file. */
export interface ShardFile {
  /** 64 hexadecimal digits, in the protocol's byte order. */
  hash: string;
  /** In file order. */
  terms: ShardTerm[];
  /** Verification hashes, one per term; empty if the shard has none. */
  verification: string[];
  /** Lower-case hexadecimal digest; undefined if the shard has none. */
  sha256: string | undefined;
}

/** The chunks of a xorb. */
export interface ShardXorb {
  /** 64 hexadecimal digits, in the protocol's byte order. */
  hash: string;
  /** In xorb order. */
  chunks: ChunkRecords;
  /** For each chunk, true if the server offers it for global deduplication (bit 31 of its flags). */
  globalDedup: boolean[];
  /** Uncompressed bytes of all chunks. */
  unpackedBytes: number;
  /** Bytes of the stored xorb. */
  bytesOnDisk: number;
}

/** Contents of a shard. */
export interface Shard {
  /** Files and their terms. */
  files: ShardFile[];
  /** Xorbs and their chunks. */
  xorbs: ShardXorb[];
  /** Key of the chunk hashes; undefined if they are plain. */
  key: Uint8Array | undefined;
  /** Unix time in seconds at which the key expires; `Infinity` if it never does or the shard does not say. */
  keyExpirySeconds: number;
}

/** Size of every record of the format. */
const RECORD_BYTES = 48;
const VERIFICATION_FLAG = 0x8000_0000;
const METADATA_FLAG = 0x4000_0000;
const GLOBAL_DEDUP_FLAG = 0x8000_0000;

/** Reads the validated sections `[filesStart, filesEnd, xorbsStart, xorbsEnd]` of a shard. */
export function decodeShard(
  bytes: Uint8Array,
  bounds: Uint32Array,
  key: Uint8Array | undefined,
  keyExpirySeconds: number,
): Shard {
  const [filesStart = 0, filesEnd = 0, xorbsStart = 0, xorbsEnd = 0] = bounds;
  return {
    files: decodeFiles(bytes.subarray(filesStart, filesEnd)),
    xorbs: decodeXorbs(bytes.subarray(xorbsStart, xorbsEnd)),
    key,
    keyExpirySeconds:
      keyExpirySeconds === 0 || keyExpirySeconds >= 2 ** 63 ? Number.POSITIVE_INFINITY : keyExpirySeconds,
  };
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decodeFiles(section: Uint8Array): ShardFile[] {
  const numbers = view(section);
  const files = new Map<string, ShardFile>();
  let at = 0;
  const next = () => {
    at += RECORD_BYTES;
    return at - RECORD_BYTES;
  };
  while (at < section.length) {
    const header = next();
    const hash = hashToHex(section, header);
    const flags = numbers.getUint32(header + 32, true);
    const count = numbers.getUint32(header + 36, true);
    const terms = Array.from({ length: count }, (): ShardTerm => {
      const term = next();
      return {
        xorb: hashToHex(section, term),
        unpackedLength: numbers.getUint32(term + 36, true),
        chunks: { start: numbers.getUint32(term + 40, true), end: numbers.getUint32(term + 44, true) },
      };
    });
    const verified = (flags & VERIFICATION_FLAG) !== 0;
    const verification = Array.from({ length: verified ? count : 0 }, () => hashToHex(section, next()));
    const sha256 = (flags & METADATA_FLAG) !== 0 ? hashToHex(section, next()) : undefined;
    // Like xet-core, keeps the first of two entries for one file.
    if (!files.has(hash)) files.set(hash, { hash, terms, verification, sha256 });
  }
  return [...files.values()];
}

function decodeXorbs(section: Uint8Array): ShardXorb[] {
  const numbers = view(section);
  const xorbs: ShardXorb[] = [];
  let at = 0;
  while (at < section.length) {
    const header = at;
    const count = numbers.getUint32(header + 36, true);
    const chunks = new Uint8Array(count * CHUNK_RECORD_BYTES);
    const globalDedup: boolean[] = [];
    for (let index = 0; index < count; index++) {
      const record = header + (index + 1) * RECORD_BYTES;
      const to = index * CHUNK_RECORD_BYTES;
      chunks.set(section.subarray(record, record + HASH_BYTES), to);
      chunks.set(section.subarray(record + 36, record + 40), to + HASH_BYTES);
      globalDedup.push((numbers.getUint32(record + 40, true) & GLOBAL_DEDUP_FLAG) !== 0);
    }
    xorbs.push({
      hash: hashToHex(section, header),
      chunks,
      globalDedup,
      unpackedBytes: numbers.getUint32(header + 40, true),
      bytesOnDisk: numbers.getUint32(header + 44, true),
    });
    at = header + (count + 1) * RECORD_BYTES;
  }
  return xorbs;
}

/** xet-core's shard writer. Its own type would make the published types refer to the WebAssembly module. */
interface ShardBuilder {
  addFile(hash: Uint8Array, terms: Uint8Array, verification: Uint8Array, sha256: Uint8Array): void;
  addXorb(hash: Uint8Array, records: ChunkRecords, bytesOnDisk: number): void;
  toUpload(): Uint8Array;
  toStore(): Uint8Array;
  toKeyed(key: Uint8Array, createdSeconds: number, expirySeconds: number): Uint8Array;
  free(): void;
}

/** Writes a shard with xet-core. Files and xorbs are written in hash order, regardless of the order of the calls. */
export class ShardWriter {
  readonly #builder: ShardBuilder;
  readonly #guard: <T>(run: () => T) => T;

  constructor(builder: ShardBuilder, guard: <T>(run: () => T) => T) {
    this.#builder = builder;
    this.#guard = guard;
  }

  /** Adds a file. Throws `INVALID_ARGUMENT` for values that the format cannot store. */
  addFile(file: ShardFile): void {
    const terms = new Uint8Array(file.terms.length * (HASH_BYTES + 12));
    const numbers = view(terms);
    file.terms.forEach((term, index) => {
      const at = index * (HASH_BYTES + 12);
      terms.set(hashBytes(term.xorb), at);
      numbers.setUint32(at + 32, number32(term.unpackedLength, 'A term length'), true);
      numbers.setUint32(at + 36, number32(term.chunks.start, 'A chunk index'), true);
      numbers.setUint32(at + 40, number32(term.chunks.end, 'A chunk index'), true);
    });
    const verification = new Uint8Array(file.verification.length * HASH_BYTES);
    file.verification.forEach((hash, index) => {
      verification.set(hashFromHex(hash), index * HASH_BYTES);
    });
    const sha256 = file.sha256 === undefined ? new Uint8Array() : digestBytes(file.sha256);
    this.#guard(() => this.#builder.addFile(hashBytes(file.hash), terms, verification, sha256));
  }

  /** Adds a xorb. Throws `INVALID_ARGUMENT` for values that the format cannot store. */
  addXorb(xorb: { hash: string; chunks: ChunkRecords; bytesOnDisk?: number }): void {
    this.#guard(() =>
      this.#builder.addXorb(hashBytes(xorb.hash), xorb.chunks, number32(xorb.bytesOnDisk ?? 0, 'A xorb size')),
    );
  }

  /** The form that clients upload, without lookup tables and footer. */
  toUpload(): Uint8Array {
    return this.#guard(() => this.#builder.toUpload());
  }

  /** The form that servers store, with lookup tables and footer. */
  toStore(): Uint8Array {
    return this.#guard(() => this.#builder.toStore());
  }

  /** The form that answers deduplication queries: without files, with keyed chunk hashes, valid until `expirySeconds` (Unix time). */
  toKeyed(key: Uint8Array, createdSeconds: number, expirySeconds: number): Uint8Array {
    return this.#guard(() => this.#builder.toKeyed(key, createdSeconds, expirySeconds));
  }

  /** Frees its memory. It cannot be used afterwards. */
  free(): void {
    this.#builder.free();
  }
}

/** Bytes of a sha256 digest in ordinary hexadecimal byte order. */
function digestBytes(hex: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/i.test(hex))
    throw new XetError('INVALID_ARGUMENT', `'${hex.slice(0, 80)}' is not a sha256 digest (64 hexadecimal digits).`);
  return Uint8Array.from({ length: 32 }, (_, index) => Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16));
}

/** Bytes of a hash that a shard can store: 64 times `f` marks the end of a section. */
function hashBytes(hex: string): Uint8Array {
  if (/^f{64}$/i.test(hex))
    throw new XetError(
      'INVALID_ARGUMENT',
      "A hash of 64 'f' cannot be stored in a shard, where it marks the end of a section.",
    );
  return hashFromHex(hex);
}

/** Checks that a number fits the format's 32 bits. */
function number32(value: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  throw new XetError('INVALID_ARGUMENT', `${what} of a shard must be an unsigned 32-bit integer, and is ${value}.`);
}
