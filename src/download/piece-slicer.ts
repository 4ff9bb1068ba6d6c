import { type ChunkRecords, chunkLength, chunkSlice } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { Piece } from './plan.ts';
import type { Batch } from './range-job.ts';

/** Part of a batch that belongs to a piece: bounds in its data, offset in the file, and complete chunks. */
export interface Share extends ByteRange {
  at: number;
  chunks: ChunkRecords;
}

/** One piece on its way: takes its shares from the batches of its term, which come in order. */
export class PieceSlicer {
  readonly piece: Piece;
  /** Bytes of the term that lie before the next batch. */
  #before = 0;

  constructor(piece: Piece) {
    this.piece = piece;
  }

  /** The part of a batch that belongs to the piece, or undefined if none does. */
  take(batch: Batch, chunks: ChunkRecords): Share | undefined {
    const { term, skip, length, at } = this.piece;
    const first = Math.max(term.chunks.start, batch.chunks.start) - batch.chunks.start;
    const last = Math.min(term.chunks.end, batch.chunks.end) - batch.chunks.start;
    if (first >= last) return undefined;
    let origin = 0;
    for (let index = 0; index < first; index++) origin += chunkLength(chunks, index);
    const before = this.#before;
    let firstWhole = last;
    let endWhole = first;
    let here = 0;
    for (let index = first; index < last; index++) {
      const start = before + here;
      here += chunkLength(chunks, index);
      if (start < skip || before + here > skip + length) continue;
      firstWhole = Math.min(firstWhole, index);
      endWhole = index + 1;
    }
    this.#before += here;
    const start = Math.min(Math.max(skip - before, 0), here);
    const end = Math.min(Math.max(skip + length - before, 0), here);
    if (start >= end) return undefined;
    const whole = chunkSlice(chunks, Math.min(firstWhole, endWhole), endWhole);
    return { start: origin + start, end: origin + end, at: at + before + start - skip, chunks: whole };
  }

  /** Throws if the term turned out to have another length than announced. */
  finish(): void {
    const { term } = this.piece;
    if (this.#before === term.unpackedLength) return;
    throw new XetError(
      'PROTOCOL',
      `A term of xorb ${term.xorb} has ${this.#before} bytes where ${term.unpackedLength} were announced.`,
    );
  }
}
