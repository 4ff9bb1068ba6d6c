import type { FileSpan } from '../core/content.ts';
import { NO_LONGER_WANTED } from '../core/errors.ts';
import { without } from '../core/ranges.ts';
import type { JobContext, JobSpec } from './fetch-runs.ts';
import type { RunOptions } from './local-part.ts';
import { readLocal } from './local-part.ts';
import { PieceSlicer } from './piece-slicer.ts';
import type { Piece } from './plan.ts';
import { RangeJob } from './range-job.ts';
import type { Stage } from './stages.ts';

export interface AssembleOptions extends RunOptions {
  /** Jobs that may be under way ahead of the one that is needed now. */
  lookAhead: () => number;
}

type Serves = (at: number, piece: Piece) => boolean;

/** Describes the job with this index in the plan, for the pieces that it serves. */
export function specOf({ plan, urls }: Stage, index: number, serves: Serves = () => true): JobSpec {
  const job = plan.jobs[index];
  const source = job && urls[job.section];
  if (!job || !source) throw new Error('A piece without a job');
  const wanted = job.pieces.flatMap((at) => {
    const piece = plan.pieces[at];
    return piece && serves(at, piece) ? piece.term.chunks : [];
  });
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
): AsyncGenerator<FileSpan, void, undefined> {
  const { plan } = stage;
  const { signal } = options;
  const reading = { ...options, lent: context.inPlace };
  const jobs = new Map<number, { job: RangeJob; serves: Serves }>();
  const alive = new Set<RangeJob>();
  const running: Promise<void>[] = [];
  let started = 0;
  const start = (index: number, serves: Serves = () => true) => {
    const before = jobs.get(index)?.job;
    before?.stop(NO_LONGER_WANTED);
    before?.dispose();
    const job = new RangeJob(specOf(stage, index, serves), context);
    alive.add(job);
    jobs.set(index, { job, serves });
    running.push(job.run());
    return job;
  };
  const startUntil = (last: number) => {
    for (; started < plan.jobs.length && started <= last; started++) {
      // What comes now will be kept, so that it need not come again.
      if (!options.kept || !plan.jobs[started]?.again) start(started);
    }
  };
  const stop = (reason: unknown) => {
    for (const job of alive) job.stop(reason);
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
      const going = jobs.get(piece.job);
      let job = going?.serves(index, piece) ? going.job : undefined;
      if (!job) {
        const wanted = { start: piece.at, end: piece.at + piece.length };
        const kept = (await options.kept?.(piece)) ?? [];
        if (without(wanted, kept).length === 0) {
          for (const part of kept) yield* readLocal(part, wanted, reading);
          continue;
        }
        // Once the first was kept, those are missing that go beyond what was read; what lies before is kept as well.
        const isFirst = plan.jobs[piece.job]?.pieces[0] === index;
        const least = isFirst ? 0 : piece.term.chunks.start;
        job = start(piece.job, (at, other) => at >= index && other.term.chunks.start >= least);
      }
      job.makeUrgent();
      yield* takePiece(piece, job, context);
      if (plan.jobs[piece.job]?.pieces.at(-1) !== index) continue;
      jobs.delete(piece.job);
      alive.delete(job);
    }
    for (; local; local = locals.next().value) yield* readLocal(local, stage.range, reading);
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop(NO_LONGER_WANTED);
    await Promise.all(running);
    for (const job of alive) job.dispose();
  }
}

async function* takePiece(
  piece: Piece,
  job: RangeJob,
  { inPlace: lent, transport: { buffers } }: JobContext,
): AsyncGenerator<FileSpan, void, undefined> {
  const taker = new PieceSlicer(piece);
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
    if (batch.users > 0 && !job.keepLess(batch, data, chunks)) continue;
    batch.release();
    if (lent) buffers.give(data.buffer);
  }
  taker.finish();
}
