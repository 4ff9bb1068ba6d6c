import type { CodecPool } from '../../workers/pool.ts';
import { type ChunkRecords, totalLength } from '../chunks.ts';
import { TaskTurns } from '../download/task-turns.ts';
import { XetError } from '../errors.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import { runUpload } from './codec-work.ts';
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
  held: HeldMemory;
  /** Where blocks are put together, as long as the longest of them. Files that are read one after the other share it. */
  buffer: Uint8Array;
  /** As long as that; who is done with a block may give its memory back there. */
  blocks: RunBuffers;
  signal: AbortSignal;
}

/**
 * Reads a file once, and cuts it into chunks. Feeds all of it to `hash` on the way. Gives at least one block, which is
 * empty for an empty file.
 */
export async function* cutFile(
  source: ByteSource,
  hash: UploadHash,
  { pool, held, buffer, blocks, signal }: CutParts,
): AsyncGenerator<CutBlock, void, undefined> {
  const pieces = iteratorOf(source);
  const turns = new TaskTurns(TURN_BYTES);
  let rest: Uint8Array = new Uint8Array();
  /** Bytes in the buffer, and how many of them are of a chunk that began in the block before. */
  let filled = 0;
  let begun = 0;
  let ended = false;
  try {
    for (let startsFile = true; ; startsFile = false) {
      // With nothing that will free memory, waiting for it could last for ever.
      await held.acquire(buffer.length, () => held.moving === 0, signal);
      let heldBytes = 0;
      try {
        while (filled < buffer.length && !ended) {
          if (rest.length === 0) {
            const next = await pieces.next();
            signal.throwIfAborted();
            ended = next.done === true;
            if (!next.done) rest = checked(next.value);
          }
          const taken = Math.min(rest.length, buffer.length - filled, TURN_BYTES);
          await turns.after(taken);
          buffer.set(rest.subarray(0, taken), filled);
          filled += taken;
          rest = rest.subarray(taken);
        }
        const block = blocks.fitting(filled);
        block.set(buffer.subarray(0, filled));
        const cutting = runUpload(pool, 'cutChunks', block, [ended], signal);
        // Hashed while a worker cuts.
        const [{ bytes, chunks }] = await Promise.all([cutting, hash.update(buffer.subarray(begun, filled))]);
        const whole = totalLength(chunks);
        buffer.copyWithin(0, whole, filled);
        filled -= whole;
        begun = filled;
        heldBytes = bytes.buffer.byteLength;
        yield { bytes: bytes.subarray(0, whole), chunks, heldBytes, startsFile, endsFile: ended };
      } finally {
        held.release(buffer.length - heldBytes);
      }
      if (ended) return;
    }
  } finally {
    if (!ended) void Promise.resolve(pieces.return?.()).catch(() => undefined);
  }
}

function iteratorOf(source: ByteSource): AsyncIterator<Uint8Array> | Iterator<Uint8Array> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}

function checked(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new XetError('INVALID_ARGUMENT', 'What is uploaded must come as Uint8Array pieces.');
}
