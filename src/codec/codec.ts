import { type ChunkRecords, chunkCount, chunkLength, chunkSlice } from '../core/chunks.ts';
import { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';
import { HASH_BYTES } from '../core/hash.ts';
import * as wasm from '../wasm.ts';
import { decodeShard, type Shard, ShardWriter } from './shard.ts';

/** Chunks that came out of a run of xorb frames. */
export interface DecodedRun {
  /** The chunks' bytes, back to back. */
  data: Uint8Array;
  /** Their hashes and lengths. */
  chunks: ChunkRecords;
}

/** Chunks that were hashed again. */
export interface CheckedChunks {
  bytes: Uint8Array;
  /** How many of them, from the first on, are what was said of them. */
  good: number;
}

/** A xorb as it is stored. */
export interface SerializedXorb {
  /** 32 bytes. */
  hash: Uint8Array;
  /** Chunk frames, without a footer: what `POST /v1/xorbs` takes. */
  body: Uint8Array;
}

/** How chunks are stored. `auto` lets xet-core choose, as native clients do; it never changes a hash. */
export type CompressionChoice = 'auto' | 'none' | 'lz4' | 'bg4-lz4';

/** Cuts one stream into chunks. */
export interface Chunker {
  /** The chunks that this block completes; the last block of the stream says so and may be empty. */
  push(block: Uint8Array, last: boolean): ChunkRecords;
  /** Gives its memory back. It is of no use afterwards. */
  free(): void;
}

/** Hashes of a file's runs, made apart and merged left to right. */
export interface PartialFileHash {
  /** Adds what follows. */
  append(next: PartialFileHash): void;
  /** The hash of the file that all of it makes, 32 bytes. */
  fileHash(): Uint8Array;
  /** Gives its memory back. It is of no use afterwards. */
  free(): void;
}

/** Loads the codec of the calling thread: pass `threadCodec`. */
export type CodecFactory = () => Promise<Codec>;

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
   * Instantiates the module once for this thread; later calls give the same codec. `source` gives the
   * module's bytes where the platform cannot fetch them from beside the script.
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

  /** Decodes whole frames of a xorb, hashing each chunk. Malformed frames throw `PROTOCOL`. */
  decodeRun(frames: Uint8Array): DecodedRun {
    const chunks = this.recordsOf(frames);
    return { data: this.#copy(this.#runs.output, this.#runs.outputLength), chunks };
  }

  /**
   * The same, with the chunks' bytes in the buffer that the frames were in, if there is room: all of it may be written over.
   * What is written somewhere and forgotten needs no memory of its own.
   */
  decodeRunInPlace(frames: Uint8Array): DecodedRun {
    const chunks = this.recordsOf(frames);
    const { output, outputLength } = this.#runs;
    const fits = outputLength <= frames.buffer.byteLength;
    return { data: this.#copy(output, outputLength, fits ? frames.buffer : undefined), chunks };
  }

  /** Hashes and lengths of the chunks of whole frames, for who has no use for their bytes. Malformed frames throw `PROTOCOL`. */
  recordsOf(frames: Uint8Array): ChunkRecords {
    const runs = this.#runs;
    this.#give(frames);
    guard('PROTOCOL', () => runs.decode());
    return this.#copy(runs.records, runs.recordsLength);
  }

  /** Hashes chunks that lie back to back, up to the first that is not what its record says. */
  checkChunks(bytes: Uint8Array, chunks: ChunkRecords): CheckedChunks {
    let at = 0;
    for (let index = 0; index < chunkCount(chunks); index++) {
      const end = at + chunkLength(chunks, index);
      const record = chunkSlice(chunks, index, index + 1);
      const right =
        end <= bytes.length && this.chunkHash(bytes.subarray(at, end)).every((byte, i) => byte === record[i]);
      if (!right) return { bytes, good: index };
      at = end;
    }
    return { bytes, good: chunkCount(chunks) };
  }

  #give(input: Uint8Array): void {
    const address = this.#runs.input(input.length);
    new Uint8Array(this.#memory.buffer, address, input.length).set(input);
  }

  /** Bytes of the module's memory, in memory of their own or at the start of some that is there. */
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
    return wasm.chunkHash(chunk);
  }

  /** The hash of a xorb that has these chunks, 32 bytes. */
  xorbHash(chunks: ChunkRecords): Uint8Array {
    return guard('INVALID_ARGUMENT', () => wasm.xorbHash(chunks));
  }

  /** The file hash of a list of chunks. The Hub's salt is 32 zero bytes, the default. */
  fileHash(chunks: ChunkRecords, salt: Uint8Array = new Uint8Array(HASH_BYTES)): Uint8Array {
    return guard('INVALID_ARGUMENT', () => wasm.fileHash(chunks, salt));
  }

  /** Proof of a term: the keyed hash over its raw chunk hashes, back to back. */
  verificationHash(hashes: Uint8Array): Uint8Array {
    return guard('INVALID_ARGUMENT', () => wasm.verificationHash(hashes));
  }

  /** Each of the hashes as a shard with this key shows it. */
  keyedHashes(hashes: Uint8Array, key: Uint8Array): Uint8Array {
    return guard('INVALID_ARGUMENT', () => wasm.keyedHashes(hashes, key));
  }

  /** CRC-64/NVME of a stream that goes on with these bytes; `before` is that of what came before. */
  crc64(bytes: Uint8Array, before = 0n): bigint {
    let checksum = before;
    // The module's memory never shrinks: it is not to hold all of a xorb.
    for (let at = 0; at < bytes.length; at += CHECKSUM_STEP_BYTES)
      checksum = wasm.crc64(checksum, bytes.subarray(at, at + CHECKSUM_STEP_BYTES));
    return checksum;
  }

  /**
   * SHA-256 over whole blocks of 64 bytes, from the state (32 bytes) that came out of those before: that of the last
   * block, padding included, is the digest.
   */
  sha256Blocks(state: Uint8Array, blocks: Uint8Array): Uint8Array {
    return guard('INVALID_ARGUMENT', () => wasm.sha256Blocks(state, blocks));
  }

  /** Hash of a run of a file's chunks; `atStart` and `atEnd` say whether it holds the file's first and last chunk. */
  partialFileHash(chunks: ChunkRecords, atStart: boolean, atEnd: boolean): PartialFileHash {
    return guard('INVALID_ARGUMENT', () => wrapPartial(new wasm.PartialFileHash(chunks, atStart, atEnd)));
  }

  /**
   * Packs chunks into a xorb. `data` holds their bytes back to back; `fileStarts` the chunk indices where
   * another file begins, the first of them 0.
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
   * Packs chunks as {@link serializeXorb} does, into the buffer that they were in unless that would leave most of it
   * empty. All of that buffer may be written over, also what is beside the chunks. Gives the frames only, which are a part of a xorb as well.
   */
  packInPlace(data: Uint8Array, chunks: ChunkRecords): Uint8Array {
    this.#pack(data, chunks, new Uint32Array(1), 'auto');
    const { packed, packedLength } = this.#runs;
    const room = data.buffer.byteLength;
    return this.#copy(packed, packedLength, packedLength <= room && room <= 2 * packedLength ? data.buffer : undefined);
  }

  #pack(data: Uint8Array, chunks: ChunkRecords, fileStarts: Uint32Array, compression: CompressionChoice): Uint8Array {
    this.#give(data);
    return guard('INVALID_ARGUMENT', () => this.#runs.pack(chunks, fileStarts, compression));
  }

  /** Checks and reads a shard, with or without a footer. A malformed one throws `PROTOCOL`. */
  readShard(bytes: Uint8Array): Shard {
    const sections = guard('PROTOCOL', () => wasm.readShard(bytes));
    try {
      return decodeShard(bytes, sections.bounds, sections.key, sections.keyExpirySeconds);
    } finally {
      sections.free();
    }
  }

  /** Writes a shard. */
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
        throw new XetError('INVALID_ARGUMENT', 'Not another partial file hash of this codec');
      guard('INVALID_ARGUMENT', () => inner.append(other));
    },
    fileHash: () => guard('INVALID_ARGUMENT', () => inner.fileHash()),
    free: () => inner.free(),
  };
  partials.set(outer, inner);
  return outer;
}

/** Turns what the module reports about its input into a typed error. A trap goes through: it is no answer. */
function guard<T>(code: XetErrorCode, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const report = error instanceof Error ? /^(malformed|truncated|argument)\|(.*)$/s.exec(error.message) : null;
    if (!report || isXetError(error)) throw error;
    throw new XetError(report[1] === 'argument' ? 'INVALID_ARGUMENT' : code, report[2] ?? '');
  }
}
