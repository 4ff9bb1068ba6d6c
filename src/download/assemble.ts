import { type ChunkRecords, chunkLength, chunkSlice } from '../chunks.ts';
import { XetError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import type { Piece, Plan } from './plan.ts';
import { type Batch, type JobContext, RangeJob } from './range-job.ts';

/** A run of a file's bytes, with the records of the chunks that lie wholly in it. */
export interface Content {
  bytes: Uint8Array;
  chunks: ChunkRecords;
}

export interface AssembleOptions {
  /** Jobs that may be under way ahead of the one that is needed now. */
  lookAhead: () => number;
  signal: AbortSignal;
}

/**
 * The wanted bytes in file order. Jobs are started in the order in which the file needs them; what they fetch
 * is handed out as soon as it is decoded, and its memory is given back when the caller asks for the next.
 *
 * Each array belongs to the caller. Stopping early stops the jobs.
 */
export async function* assemble(
  plan: Plan,
  context: JobContext,
  options: AssembleOptions,
): AsyncGenerator<Content, void, undefined> {
  const jobs = new Map<number, RangeJob>();
  const running: Promise<void>[] = [];
  let started = 0;
  const startUntil = (last: number) => {
    for (; started < plan.jobs.length && started <= last; started++) {
      const spec = plan.jobs[started];
      if (!spec) return;
      const wanted = spec.pieces.flatMap((index) => plan.pieces[index]?.term.chunks ?? []);
      const job = new RangeJob(spec.signed.xorb, spec.ranges, wanted, context);
      jobs.set(started, job);
      running.push(job.run());
    }
  };
  const stop = (reason: unknown) => {
    for (const job of jobs.values()) job.stop(reason);
  };
  const onAbort = () => stop(options.signal.reason);
  options.signal.throwIfAborted();
  options.signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (const [index, piece] of plan.pieces.entries()) {
      startUntil(piece.job + options.lookAhead());
      const job = jobs.get(piece.job);
      if (!job) throw new Error('A piece without a job');
      job.makeUrgent();
      yield* takePiece(piece, job);
      if (plan.jobs[piece.job]?.pieces.at(-1) === index) jobs.delete(piece.job);
    }
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    stop(new XetError('CLOSED', 'The download has ended.'));
    await Promise.all(running);
    for (const job of jobs.values()) job.dispose();
  }
}

async function* takePiece(piece: Piece, job: RangeJob): AsyncGenerator<Content> {
  const { term } = piece;
  const wanted = { start: piece.skip, end: piece.skip + piece.length };
  /** Bytes of the term before the batch. */
  let before = 0;
  for await (const batch of job.batches(term.chunks)) {
    const { data, chunks } = await batch.decoded;
    const share = shareOf(batch, chunks, piece, before, wanted);
    batch.users--;
    if (share.end > share.start) {
      // Another piece will want this memory again, and the caller may do with its array what it likes.
      const bytes = batch.users > 0 ? data.slice(share.start, share.end) : data.subarray(share.start, share.end);
      yield { bytes, chunks: share.chunks };
    }
    before += share.length;
    if (batch.users === 0) batch.release();
  }
  if (before !== term.unpackedLength) {
    throw new XetError(
      'PROTOCOL',
      `A term of xorb ${term.xorb} has ${before} bytes where ${term.unpackedLength} were announced.`,
    );
  }
}

/**
 * The part of a batch that belongs to a piece: bounds of the wanted bytes in its data, the chunks that lie
 * wholly in them, and how many bytes of the term the batch holds in all.
 */
function shareOf(batch: Batch, chunks: ChunkRecords, piece: Piece, before: number, wanted: ByteRange) {
  const first = Math.max(piece.term.chunks.start, batch.chunks.start) - batch.chunks.start;
  const last = Math.min(piece.term.chunks.end, batch.chunks.end) - batch.chunks.start;
  let at = 0;
  for (let index = 0; index < first; index++) at += chunkLength(chunks, index);
  const origin = at;
  let firstWhole = last;
  let endWhole = first;
  for (let index = first; index < last; index++) {
    const start = before + at - origin;
    at += chunkLength(chunks, index);
    if (start < wanted.start || before + at - origin > wanted.end) continue;
    firstWhole = Math.min(firstWhole, index);
    endWhole = index + 1;
  }
  const length = at - origin;
  const start = origin + Math.min(Math.max(wanted.start - before, 0), length);
  const end = origin + Math.min(Math.max(wanted.end - before, 0), length);
  return { start, end, length, chunks: chunkSlice(chunks, Math.min(firstWhole, endWhole), endWhole) };
}
