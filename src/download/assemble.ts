import { type ChunkRecordList, chunkLength, chunkSlice } from '../chunks.ts';
import { XetError } from '../errors.ts';
import type { Piece, Plan } from './plan.ts';
import { type Batch, type JobContext, RangeJob } from './range-job.ts';

export interface AssembleOptions {
  /** Jobs that may be under way ahead of the one that is needed now. */
  lookAhead: number;
  signal: AbortSignal;
  /** Receives the records of all chunks in file order; only for a whole file. */
  records?: ChunkRecordList | undefined;
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
): AsyncGenerator<Uint8Array, void, undefined> {
  const jobs = new Map<number, RangeJob>();
  const running: Promise<void>[] = [];
  let started = 0;
  const startUntil = (last: number) => {
    for (; started < plan.jobs.length && started <= last; started++) {
      const spec = plan.jobs[started];
      if (!spec) return;
      const wanted = spec.pieces.flatMap((index) => plan.pieces[index]?.term.chunks ?? []);
      const job = new RangeJob(spec.signed.xorb, spec.range, wanted, context);
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
      startUntil(piece.job + options.lookAhead);
      const job = jobs.get(piece.job);
      if (!job) throw new Error('A piece without a job');
      job.makeUrgent();
      yield* takePiece(piece, job, options.records);
      if (plan.jobs[piece.job]?.pieces.at(-1) === index) jobs.delete(piece.job);
    }
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    stop(new XetError('CLOSED', 'The download has ended.'));
    await Promise.all(running);
    for (const job of jobs.values()) job.dispose();
  }
}

async function* takePiece(
  piece: Piece,
  job: RangeJob,
  records: ChunkRecordList | undefined,
): AsyncGenerator<Uint8Array> {
  const { term } = piece;
  let skip = piece.skip;
  let left = piece.length;
  let unpacked = 0;
  for await (const batch of job.batches(term.chunks)) {
    const { data, chunks } = await batch.decoded;
    const share = shareOf(batch, chunks, piece);
    records?.push(share.records);
    unpacked += share.end - share.start;
    const start = share.start + Math.min(skip, share.end - share.start);
    const end = Math.min(start + left, share.end);
    skip -= start - share.start;
    left -= end - start;
    batch.users--;
    // Another piece will want this memory again, and the caller may do with its array what it likes.
    if (end > start) yield batch.users > 0 ? data.slice(start, end) : data.subarray(start, end);
    if (batch.users === 0) batch.release();
  }
  if (unpacked !== term.unpackedLength) {
    throw new XetError(
      'PROTOCOL',
      `A term of xorb ${term.xorb} has ${unpacked} bytes where ${term.unpackedLength} were announced.`,
    );
  }
}

/** The part of a batch that belongs to a piece's term: byte bounds in its data, and its chunks' records. */
function shareOf(batch: Batch, chunks: Uint8Array, piece: Piece): { start: number; end: number; records: Uint8Array } {
  const first = Math.max(piece.term.chunks.start, batch.chunks.start) - batch.chunks.start;
  const last = Math.min(piece.term.chunks.end, batch.chunks.end) - batch.chunks.start;
  let start = 0;
  for (let index = 0; index < first; index++) start += chunkLength(chunks, index);
  let end = start;
  for (let index = first; index < last; index++) end += chunkLength(chunks, index);
  return { start, end, records: chunkSlice(chunks, first, last) };
}
