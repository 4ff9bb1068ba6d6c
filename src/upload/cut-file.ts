import type { CodecPool } from '../codec/pool.ts';
import { cutChunks } from '../codec/upload-operations.ts';
import { type ChunkRecords, MAX_CHUNK_BYTES, totalLength } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import { TaskTurns } from '../core/event-loop.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import type { HeldMemory } from './held-memory.ts';
import type { UploadHash } from './upload-hash.ts';

/** Bytes that are gathered without a turn of the event loop. */
const TURN_BYTES = 1024 * 1024;

/** Bytes of a file in any pieces; they may be used again for the next piece. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Whole chunks of a file, and their bytes. */
export interface CutBlock {
  /** The chunks' bytes, back to back; what comes after them is no part of the block. */
  bytes: Uint8Array;
  chunks: ChunkRecords;
  /** Taken from the budget for this block; whoever gets it gives that back. */
  heldBytes: number;
  startsFile: boolean;
  endsFile: boolean;
}

export interface CutParts {
  pool: CodecPool;
  /** A block counts as moving from here on; whoever gets it says when it no longer does. */
  held: HeldMemory;
  /** Bytes of the memory of a block. */
  blockBytes: number;
  /** Memory as long as that; who is done with a block may give its memory back there. */
  blocks: RunBuffers;
  signal: AbortSignal;
}

/**
 * Reads a file once, and cuts it into chunks. Feeds all of it to `hash` on the way. Gives at least one block, which is
 * empty for an empty file. While one block is cut the next is read and hashed.
 */
export async function* cutFile(
  source: ByteSource,
  hash: UploadHash,
  { pool, held, blockBytes, blocks, signal }: CutParts,
): AsyncGenerator<CutBlock, void, undefined> {
  const reader = new BlockReader(source, { blockBytes, blocks, signal });
  const read = async () => {
    // With nothing that will free memory, waiting for it could last for ever.
    await held.acquire(blockBytes, () => held.moving === 0, signal);
    const filled = await reader.read();
    await hash.update(filled.fresh);
    return filled;
  };
  let reading = read();
  /** Of a chunk that goes on in the next block. */
  let begun: Uint8Array = new Uint8Array();
  try {
    for (let startsFile = true; ; startsFile = false) {
      const { fresh, ended } = await reading;
      held.moving++;
      const block = following(begun, fresh, blocks);
      const cutting = pool.run(cutChunks, block, [ended], signal);
      if (!ended) {
        reading = read();
        // Whoever waits for it gets the error, unless cutting fails before.
        reading.catch(() => undefined);
      }
      const { bytes, chunks } = await cutting;
      const whole = totalLength(chunks);
      begun = bytes.slice(whole);
      const heldBytes = bytes.buffer.byteLength;
      held.release(blockBytes - heldBytes);
      yield { bytes: bytes.subarray(0, whole), chunks, heldBytes, startsFile, endsFile: ended };
      if (ended) return;
    }
  } finally {
    reader.leave();
  }
}

/** Reads a file into the memory of blocks, and leaves room for what the block before could not end. */
class BlockReader {
  readonly #pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #parts: Pick<CutParts, 'blockBytes' | 'blocks' | 'signal'>;
  readonly #turns = new TaskTurns(TURN_BYTES);
  /** Of the last piece, what did not fit. */
  #rest: Uint8Array = new Uint8Array();
  #ended = false;

  constructor(source: ByteSource, parts: Pick<CutParts, 'blockBytes' | 'blocks' | 'signal'>) {
    this.#pieces = iteratorOf(source);
    this.#parts = parts;
  }

  /** Bytes that follow those of the call before, and whether they are the last. */
  async read(): Promise<{ fresh: Uint8Array; ended: boolean }> {
    const { blockBytes, blocks, signal } = this.#parts;
    const memory = blocks.take(blockBytes);
    let filled = MAX_CHUNK_BYTES;
    while (filled < memory.length && !this.#ended) {
      if (this.#rest.length === 0) {
        const next = await this.#pieces.next();
        signal.throwIfAborted();
        this.#ended = next.done === true;
        if (!next.done) this.#rest = checked(next.value);
      }
      const taken = Math.min(this.#rest.length, memory.length - filled, TURN_BYTES);
      await this.#turns.after(taken);
      memory.set(this.#rest.subarray(0, taken), filled);
      filled += taken;
      this.#rest = this.#rest.subarray(taken);
    }
    return { fresh: memory.subarray(MAX_CHUNK_BYTES, filled), ended: this.#ended };
  }

  /** Stops reading what was not read to its end. */
  leave(): void {
    if (!this.#ended) void Promise.resolve(this.#pieces.return?.()).catch(() => undefined);
  }
}

/** A block of what the one before could not end and of what follows, which has room before it. */
function following(begun: Uint8Array, fresh: Uint8Array, blocks: RunBuffers): Uint8Array {
  const length = begun.length + fresh.length;
  const start = fresh.byteOffset - begun.length;
  const inPlace = new Uint8Array(fresh.buffer as ArrayBuffer, start, length);
  inPlace.set(begun);
  if (blocks.memoryFor(length) === fresh.buffer.byteLength) return inPlace;
  // A short one would keep long memory from others.
  const own = inPlace.slice();
  blocks.give(fresh.buffer);
  return own;
}

function iteratorOf(source: ByteSource): AsyncIterator<Uint8Array> | Iterator<Uint8Array> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}

function checked(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new XetError('INVALID_ARGUMENT', 'What is uploaded must come as Uint8Array pieces.');
}
