import type { CodecPool } from '../codec/pool.ts';
import { cutChunks } from '../codec/upload-operations.ts';
import { type ChunkRecords, MAX_CHUNK_BYTES, totalLength } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import { EventLoopYielder } from '../core/event-loop.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import type { MemoryInFlight, MemoryLease } from './memory-lease.ts';
import type { UploadHash } from './upload-hash.ts';

/** Bytes copied between yields to the event loop. */
const YIELD_BYTES = 1024 * 1024;

/** Content of a file in pieces of any size. The memory of a piece may be reused for the next one. */
export type BytePieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Complete chunks of a file, and their bytes. */
export interface CutBlock {
  /** The chunks' bytes, back to back. The memory after them is not part of the block. */
  bytes: Uint8Array;
  chunks: ChunkRecords;
  /** The memory of the block, which the receiver ends. */
  memory: MemoryInFlight;
  startsFile: boolean;
  endsFile: boolean;
}

interface CutContext {
  pool: CodecPool;
  lease: MemoryLease;
  /** Size of the memory of a block. */
  blockBytes: number;
  /** Buffers of that size; the receiver of a block may return its buffer to it. */
  blocks: RunBuffers;
  signal: AbortSignal;
}

/**
 * Reads a file once, cuts it into chunks, and feeds it to `hash`. Yields at least one block, which is empty for an empty
 * file. While one block is cut, the next one is read and hashed.
 */
export async function* cutFile(
  source: BytePieces,
  hash: UploadHash,
  { pool, lease, blockBytes, blocks, signal }: CutContext,
): AsyncGenerator<CutBlock, void, undefined> {
  const reader = new BlockReader(source, { blockBytes, blocks, signal });
  const read = async () => {
    // If nothing in flight will free memory, waiting for it could take forever.
    await lease.acquire(blockBytes, () => lease.inFlight === 0, signal);
    const filled = await reader.read();
    await hash.update(filled.fresh);
    return filled;
  };
  let reading = read();
  /** Bytes of a chunk that continues in the next block. */
  let incomplete: Uint8Array = new Uint8Array();
  try {
    for (let startsFile = true; ; startsFile = false) {
      const { fresh, ended } = await reading;
      const memory = lease.send(blockBytes);
      const block = joined(incomplete, fresh, blocks);
      const cutting = pool.run(cutChunks, block, [ended], signal);
      if (!ended) {
        reading = read();
        // The error is thrown when this promise is awaited, unless cutting fails first.
        reading.catch(() => undefined);
      }
      const { bytes, chunks } = await cutting;
      const complete = totalLength(chunks);
      incomplete = bytes.slice(complete);
      memory.resize(bytes.buffer.byteLength);
      yield { bytes: bytes.subarray(0, complete), chunks, memory, startsFile, endsFile: ended };
      if (ended) return;
    }
  } finally {
    reader.close();
  }
}

/** Reads a file into blocks, and leaves room before them for the incomplete chunk of the block before. */
class BlockReader {
  readonly #pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #parts: Pick<CutContext, 'blockBytes' | 'blocks' | 'signal'>;
  readonly #turns = new EventLoopYielder(YIELD_BYTES);
  /** The part of the last piece that did not fit. */
  #rest: Uint8Array = new Uint8Array();
  #ended = false;

  constructor(source: BytePieces, parts: Pick<CutContext, 'blockBytes' | 'blocks' | 'signal'>) {
    this.#pieces = iteratorOf(source);
    this.#parts = parts;
  }

  /** The next bytes of the file. */
  async read(): Promise<{ fresh: Uint8Array; ended: boolean }> {
    const { blockBytes, blocks, signal } = this.#parts;
    const memory = blocks.take(blockBytes);
    let filled = MAX_CHUNK_BYTES;
    while (filled < memory.length && !this.#ended) {
      if (this.#rest.length === 0) {
        const next = await this.#pieces.next();
        signal.throwIfAborted();
        this.#ended = next.done === true;
        if (!next.done) this.#rest = asBytes(next.value);
      }
      const taken = Math.min(this.#rest.length, memory.length - filled, YIELD_BYTES);
      await this.#turns.after(taken);
      memory.set(this.#rest.subarray(0, taken), filled);
      filled += taken;
      this.#rest = this.#rest.subarray(taken);
    }
    return { fresh: memory.subarray(MAX_CHUNK_BYTES, filled), ended: this.#ended };
  }

  /** Ends a source that was not read to its end. */
  close(): void {
    if (!this.#ended) void Promise.resolve(this.#pieces.return?.()).catch(() => undefined);
  }
}

/** Joins an incomplete chunk and the bytes after it, which have room before them. */
function joined(incomplete: Uint8Array, fresh: Uint8Array, blocks: RunBuffers): Uint8Array {
  const length = incomplete.length + fresh.length;
  const start = fresh.byteOffset - incomplete.length;
  const inPlace = new Uint8Array(fresh.buffer as ArrayBuffer, start, length);
  inPlace.set(incomplete);
  if (blocks.memoryFor(length) === fresh.buffer.byteLength) return inPlace;
  // A short block must not occupy a large buffer.
  const own = inPlace.slice();
  blocks.give(fresh.buffer);
  return own;
}

function iteratorOf(source: BytePieces): AsyncIterator<Uint8Array> | Iterator<Uint8Array> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}

function asBytes(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new XetError('INVALID_ARGUMENT', 'The pieces of an uploaded stream must be Uint8Arrays.');
}
