import { NO_LONGER_WANTED } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { type LocalPart, readLocal } from './local-part.ts';
import type { Piece, Plan } from './plan.ts';
import { type JobContext, type JobSpec, RangeJob } from './range-job.ts';
import { type Content, PieceTaker } from './shares.ts';
import type { SignedUrls } from './signed-urls.ts';

/** All that makes a part of a file: what is to be fetched, and what is here. */
export interface Stage {
  /** What is wanted; local parts may reach beyond it, as they are whole chunks. */
  range: ByteRange;
  plan: Plan;
  /** Addresses for the sections of the plan. */
  urls: SignedUrls[];
  /** Ascending; together with the pieces they fill what is wanted. */
  locals: LocalPart[];
}

export interface RunOptions {
  signal: AbortSignal;
  /** Told of content that came from this machine, in bytes. */
  onLocal: (bytes: number) => void;
  /** How to have bytes that a local part could not give after all. */
  elsewhere: (rest: ByteRange) => AsyncIterable<Content>;
}

export interface AssembleOptions extends RunOptions {
  /** Jobs that may be under way ahead of the one that is needed now. */
  lookAhead: () => number;
}

/** What the job of an index in the plan is to fetch. */
export function specOf({ plan, urls }: Stage, index: number): JobSpec {
  const job = plan.jobs[index];
  const source = job && urls[job.section];
  if (!job || !source) throw new Error('A piece without a job');
  const wanted = job.pieces.flatMap((piece) => plan.pieces[piece]?.term.chunks ?? []);
  return { xorb: job.signed.xorb, urls: source, ranges: job.ranges, wanted };
}

/**
 * The wanted bytes in file order. Jobs are started in the order in which the file needs them; what they fetch
 * is handed out as soon as it is decoded, and its memory is given back when the caller asks for the next.
 *
 * Each array belongs to the caller; where runs are decoded in place it is lent, until the next is asked for. Stopping
 * early stops the jobs.
 */
export async function* assemble(
  stage: Stage,
  context: JobContext,
  options: AssembleOptions,
): AsyncGenerator<Content, void, undefined> {
  const { plan } = stage;
  const { signal } = options;
  const reading = { ...options, lent: context.inPlace };
  const jobs = new Map<number, RangeJob>();
  const running: Promise<void>[] = [];
  let started = 0;
  const startUntil = (last: number) => {
    for (; started < plan.jobs.length && started <= last; started++) {
      const job = new RangeJob(specOf(stage, started), context);
      jobs.set(started, job);
      running.push(job.run());
    }
  };
  const stop = (reason: unknown) => {
    for (const job of jobs.values()) job.stop(reason);
  };
  const onAbort = () => stop(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  const locals = stage.locals.values();
  let local = locals.next().value;
  try {
    for (const [index, piece] of plan.pieces.entries()) {
      startUntil(piece.job + options.lookAhead());
      for (; local && local.start < piece.at; local = locals.next().value)
        yield* readLocal(local, stage.range, reading);
      const job = jobs.get(piece.job);
      if (!job) throw new Error('A piece without a job');
      job.makeUrgent();
      yield* takePiece(piece, job, context);
      if (plan.jobs[piece.job]?.pieces.at(-1) === index) jobs.delete(piece.job);
    }
    for (; local; local = locals.next().value) yield* readLocal(local, stage.range, reading);
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop(NO_LONGER_WANTED);
    await Promise.all(running);
    for (const job of jobs.values()) job.dispose();
  }
}

async function* takePiece(
  piece: Piece,
  job: RangeJob,
  { inPlace: lent, buffers }: JobContext,
): AsyncGenerator<Content, void, undefined> {
  const taker = new PieceTaker(piece);
  for await (const batch of job.batches(piece.term.chunks)) {
    const { data, chunks } = await batch.decoded;
    const share = taker.take(batch, chunks);
    batch.users--;
    if (share) {
      // Another piece will want this memory again, and the caller may do with its array what it likes.
      const copied = batch.users > 0 && !lent;
      const bytes = copied ? data.slice(share.start, share.end) : data.subarray(share.start, share.end);
      yield { at: share.at, bytes, chunks: share.chunks };
    }
    if (batch.users > 0) continue;
    batch.release();
    if (lent) buffers.give(data.buffer);
  }
  taker.finish();
}
