import { type ChunkRecords, chunkCount, chunkLength, chunkSlice } from '../core/chunks.ts';
import { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';
import { HASH_BYTES, requireBytes } from '../core/hash.ts';
import * as wasm from '../wasm.ts';
import { decodeShard, type Shard, ShardWriter } from './shard.ts';

/** Decoded chunks of a run of xorb frames. */
export interface DecodedRun {
  /** The chunks' bytes, back to back. */
  data: Uint8Array;
  /** The chunks' hashes and lengths. */
  chunks: ChunkRecords;
}

/** Result of hashing chunks again. */
export interface CheckedChunks {
  bytes: Uint8Array;
  /** Number of leading chunks that match their records. */
  good: number;
}

/** A xorb in the form that servers store (Xet protocol: xorb format). */
export interface SerializedXorb {
  /** 32 bytes. */
  hash: Uint8Array;
  /** Chunk frames without a footer, as `POST /v1/xorbs` accepts them. */
  body: Uint8Array;
}

/** Compression of chunks. `auto` lets xet-core choose, as native clients do. It never changes a hash. */
export type CompressionChoice = 'auto' | 'none' | 'lz4' | 'bg4-lz4';

/** Cuts one stream into chunks (Xet protocol: content-defined chunking). */
export interface Chunker {
  /** Returns the chunks that this block completes. The last block of the stream may be empty. */
  push(block: Uint8Array, last: boolean): ChunkRecords;
  /** Frees its memory. It cannot be used afterwards. */
  free(): void;
}

/** Hash of a run of a file's chunks. Runs are hashed separately and merged from left to right. */
export interface PartialFileHash {
  /** Appends the next run. */
  append(next: PartialFileHash): void;
  /** The hash of the whole file, 32 bytes. */
  fileHash(): Uint8Array;
  /** Frees its memory. It cannot be used afterwards. */
  free(): void;
}

const CHECKSUM_STEP_BYTES = 256 * 1024;

/** xet-core's chunker, hashes and codecs on the calling thread. Hashes are raw 32-byte arrays. */
export class Codec {
  readonly #memory: WebAssembly.Memory;
  readonly #runs: wasm.RunCodec;

  private constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    this.#runs = new wasm.RunCodec();
  }

  /**
   * Instantiates the module once per thread; later calls return the same codec. `source` supplies the module's bytes on
   * platforms that cannot fetch them from beside the script.
   */
  static load(source?: () => Promise<BufferSource | WebAssembly.Module>): Promise<Codec> {
    Codec.#loaded ??= Promise.resolve(source?.())
      .then((bytes) => wasm.instantiate(bytes))
      .then((memory) => new Codec(memory))
      .catch((cause: unknown) => {
        Codec.#loaded = undefined;
        throw new XetError('UNSUPPORTED', `The WebAssembly codec could not be loaded: ${String(cause)}`, { cause });
      });
    return Codec.#loaded;
  }

  static #loaded: Promise<Codec> | undefined;

  /**
   * Decodes complete frames of a xorb and hashes each chunk.
   * @throws {XetError} `PROTOCOL` for malformed frames
   */
  decodeRun(frames: Uint8Array): DecodedRun {
    const chunks = this.recordsOf(frames);
    return { data: this.#copy(this.#runs.output, this.#runs.outputLength), chunks };
  }

  /**
   * Decodes complete frames into the buffer that they are in, if the chunks fit; all of that buffer may be overwritten.
   * Data that is written out at once then needs no memory of its own.
   */
  decodeRunInPlace(frames: Uint8Array): DecodedRun {
    const chunks = this.recordsOf(frames);
    const { output, outputLength } = this.#runs;
    const fits = outputLength <= frames.buffer.byteLength;
    return { data: this.#copy(output, outputLength, fits ? frames.buffer : undefined), chunks };
  }

  /**
   * Hashes and lengths of the chunks in complete frames, without their bytes.
   * @throws {XetError} `PROTOCOL` for malformed frames
   */
  recordsOf(frames: Uint8Array): ChunkRecords {
    const runs = this.#runs;
    this.#setInput(frames);
    guard('PROTOCOL', () => runs.decode());
    return this.#copy(runs.records, runs.recordsLength);
  }

  /** Hashes chunks that lie back to back, up to the first that does not match its record. */
  checkChunks(bytes: Uint8Array, chunks: ChunkRecords): CheckedChunks {
    let at = 0;
    for (let index = 0; index < chunkCount(chunks); index++) {
      const end = at + chunkLength(chunks, index);
      const record = chunkSlice(chunks, index, index + 1);
      const matches =
        end <= bytes.length && this.chunkHash(bytes.subarray(at, end)).every((byte, i) => byte === record[i]);
      if (!matches) return { bytes, good: index };
      at = end;
    }
    return { bytes, good: chunkCount(chunks) };
  }

  #setInput(input: Uint8Array): void {
    requireBytes(input);
    const address = this.#runs.input(input.length);
    new Uint8Array(this.#memory.buffer, address, input.length).set(input);
  }

  /** Copies bytes out of the module's memory, into a new buffer or to the start of the given one. */
  #copy(address: number, length: number, room?: ArrayBufferLike): Uint8Array {
    if (!room) return new Uint8Array(this.#memory.buffer.slice(address, address + length));
    const bytes = new Uint8Array(room, 0, length);
    bytes.set(new Uint8Array(this.#memory.buffer, address, length));
    return bytes;
  }

  /** Cuts a stream of bytes into chunks. */
  chunker(): Chunker {
    return new wasm.Chunker();
  }

  /** The hash of a chunk, 32 bytes. */
  chunkHash(chunk: Uint8Array): Uint8Array {
    requireBytes(chunk);
    return wasm.chunkHash(chunk);
  }

  /** The hash of a xorb with these chunks, 32 bytes. */
  xorbHash(chunks: ChunkRecords): Uint8Array {
    requireBytes(chunks);
    return guard('INVALID_ARGUMENT', () => wasm.xorbHash(chunks));
  }

  /** The file hash of a list of chunks. The Hub's salt is 32 zero bytes, the default. */
  fileHash(chunks: ChunkRecords, salt: Uint8Array = new Uint8Array(HASH_BYTES)): Uint8Array {
    requireBytes(chunks);
    return guard('INVALID_ARGUMENT', () => wasm.fileHash(chunks, salt));
  }

  /** Verification hash of a term: the keyed hash of its raw chunk hashes, back to back (Xet protocol: shard format). */
  verificationHash(hashes: Uint8Array): Uint8Array {
    requireBytes(hashes);
    return guard('INVALID_ARGUMENT', () => wasm.verificationHash(hashes));
  }

  /** The hashes as a shard with this key lists them. */
  keyedHashes(hashes: Uint8Array, key: Uint8Array): Uint8Array {
    requireBytes(hashes);
    return guard('INVALID_ARGUMENT', () => wasm.keyedHashes(hashes, key));
  }

  /** CRC-64/NVME of a stream up to the end of these bytes. `before` is the checksum of all earlier bytes. */
  crc64(bytes: Uint8Array, before = 0n): bigint {
    requireBytes(bytes);
    if (typeof before !== 'bigint') throw new XetError('INVALID_ARGUMENT', 'A CRC-64 is a bigint.');
    let checksum = before;
    // The module's memory never shrinks, so it must not grow to the size of a xorb.
    for (let at = 0; at < bytes.length; at += CHECKSUM_STEP_BYTES)
      checksum = wasm.crc64(checksum, bytes.subarray(at, at + CHECKSUM_STEP_BYTES));
    return checksum;
  }

  /**
   * Continues a SHA-256 over complete blocks of 64 bytes, from the state (32 bytes) after all earlier blocks. The state
   * after the last block, padding included, is the digest.
   */
  sha256Blocks(state: Uint8Array, blocks: Uint8Array): Uint8Array {
    return guard('INVALID_ARGUMENT', () => wasm.sha256Blocks(state, blocks));
  }

  /** Hash of a run of a file's chunks. `atStart` and `atEnd` are true if it contains the file's first or last chunk. */
  partialFileHash(chunks: ChunkRecords, atStart: boolean, atEnd: boolean): PartialFileHash {
    return guard('INVALID_ARGUMENT', () => wrapPartial(new wasm.PartialFileHash(chunks, atStart, atEnd)));
  }

  /**
   * Packs chunks into a xorb. `data` holds their bytes back to back, `fileStarts` the indices of the chunks at which a
   * file begins; the first is 0.
   */
  serializeXorb(
    data: Uint8Array,
    chunks: ChunkRecords,
    fileStarts: Uint32Array = new Uint32Array(1),
    compression: CompressionChoice = 'auto',
  ): SerializedXorb {
    const hash = this.#pack(data, chunks, fileStarts, compression);
    return { hash, body: this.#copy(this.#runs.packed, this.#runs.packedLength) };
  }

  /**
   * Packs chunks like {@link serializeXorb}, into the buffer that they are in, unless that would leave most of it empty.
   * All of that buffer may be overwritten. Returns the frames, which can also be a part of a larger xorb.
   */
  packInPlace(data: Uint8Array, chunks: ChunkRecords): Uint8Array {
    this.#pack(data, chunks, new Uint32Array(1), 'auto');
    const { packed, packedLength } = this.#runs;
    const room = data.buffer.byteLength;
    return this.#copy(packed, packedLength, packedLength <= room && room <= 2 * packedLength ? data.buffer : undefined);
  }

  #pack(data: Uint8Array, chunks: ChunkRecords, fileStarts: Uint32Array, compression: CompressionChoice): Uint8Array {
    this.#setInput(data);
    return guard('INVALID_ARGUMENT', () => this.#runs.pack(chunks, fileStarts, compression));
  }

  /**
   * Validates and reads a shard, with or without a footer (Xet protocol: shard format).
   * @throws {XetError} `PROTOCOL` for a malformed shard
   */
  readShard(bytes: Uint8Array): Shard {
    requireBytes(bytes);
    const sections = guard('PROTOCOL', () => wasm.readShard(bytes));
    try {
      return decodeShard(bytes, sections.bounds, sections.key, sections.keyExpirySeconds);
    } finally {
      sections.free();
    }
  }

  /** Creates a writer of one shard. */
  shardWriter(): ShardWriter {
    return new ShardWriter(new wasm.ShardBuilder(), (run) => guard('INVALID_ARGUMENT', run));
  }
}

const partials = new WeakMap<PartialFileHash, wasm.PartialFileHash>();

function wrapPartial(inner: wasm.PartialFileHash): PartialFileHash {
  const outer: PartialFileHash = {
    append: (next) => {
      const other = partials.get(next);
      if (!other || next === outer)
        throw new XetError('INVALID_ARGUMENT', 'append() takes another partial file hash of the same codec.');
      guard('INVALID_ARGUMENT', () => inner.append(other));
    },
    fileHash: () => guard('INVALID_ARGUMENT', () => inner.fileHash()),
    free: () => inner.free(),
  };
  partials.set(outer, inner);
  return outer;
}

/** Turns errors that the module reports about its input into a `XetError`. Traps are passed on unchanged. */
function guard<T>(code: XetErrorCode, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof TypeError) {
      throw new XetError('INVALID_ARGUMENT', 'The codec takes bytes and chunk records as Uint8Array.', {
        cause: error,
      });
    }
    const report = error instanceof Error ? /^(malformed|truncated|argument)\|(.*)$/s.exec(error.message) : null;
    if (!report || isXetError(error)) throw error;
    throw new XetError(report[1] === 'argument' ? 'INVALID_ARGUMENT' : code, report[2] ?? '');
  }
}
