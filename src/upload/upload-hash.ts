import type { CodecPool } from '../codec/pool.ts';
import { sha256Blocks } from '../codec/upload-operations.ts';

/** Incremental digest of a file. */
export interface UploadHash {
  /** Adds bytes. Their memory can be reused once this has returned or resolved. */
  update(bytes: Uint8Array): void | Promise<void>;
  /** The digest in lower-case hexadecimal. */
  digest(): Promise<string>;
}

/** Creates the SHA-256 of one file. */
export type MakeUploadHash = (pool: CodecPool, signal: AbortSignal) => UploadHash;

/** Computes nothing, for files of buckets, which are known by their Xet hash alone. */
export const noUploadHash: MakeUploadHash = () => ({ update: () => undefined, digest: async () => '' });

const BLOCK_BYTES = 64;
/** Initial state of SHA-256 (FIPS 180-4, 5.3.3): eight words, big-endian. */
const INITIAL_STATE = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
] as const;

/**
 * SHA-256 on workers, for platforms whose own implementation is not incremental. The state travels with each piece, so no
 * worker has to remember a file.
 */
export const workerSha256: MakeUploadHash = (pool, signal) => new WorkerSha256(pool, signal);

class WorkerSha256 implements UploadHash {
  readonly #pool: CodecPool;
  readonly #signal: AbortSignal;
  #state: Uint8Array = initialState();
  /** Bytes of an incomplete block. */
  #rest: Uint8Array = new Uint8Array();
  #length = 0;

  constructor(pool: CodecPool, signal: AbortSignal) {
    this.#pool = pool;
    this.#signal = signal;
  }

  async update(bytes: Uint8Array): Promise<void> {
    this.#length += bytes.length;
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const completeBytes = all.length - (all.length % BLOCK_BYTES);
    this.#rest = all.slice(completeBytes);
    await this.#take(completeBytes === all.length ? all : all.slice(0, completeBytes));
  }

  async digest(): Promise<string> {
    await this.#take(padding(this.#rest, this.#length));
    return Array.from(this.#state, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  async #take(blocks: Uint8Array): Promise<void> {
    if (blocks.length === 0) return;
    this.#state = await this.#pool.run(sha256Blocks, blocks, [this.#state], this.#signal);
  }
}

function initialState(): Uint8Array {
  const view = new DataView(new ArrayBuffer(INITIAL_STATE.length * 4));
  for (const [index, word] of INITIAL_STATE.entries()) view.setUint32(index * 4, word);
  return new Uint8Array(view.buffer);
}

/** The last blocks: remaining bytes, a one bit, zeros, and the number of bits (FIPS 180-4, 5.1.1). */
function padding(rest: Uint8Array, length: number): Uint8Array {
  const blocks = new Uint8Array(rest.length + 9 <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES);
  blocks.set(rest);
  blocks[rest.length] = 0x80;
  new DataView(blocks.buffer).setBigUint64(blocks.length - 8, BigInt(length) * 8n);
  return blocks;
}
