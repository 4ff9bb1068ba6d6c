import { MemoryBudget } from '../core/budget.ts';
import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import { NO_LONGER_WANTED } from '../core/errors.ts';
import { inParallel } from '../core/in-parallel.ts';
import type { ByteRange } from '../core/ranges.ts';
import { specOf } from './assemble.ts';
import { Coverage } from './coverage.ts';
import type { RunOptions } from './local-part.ts';
import { readLocal } from './local-part.ts';
import { RangesBelongTogether } from './open-range.ts';
import { PieceSlicer } from './piece-slicer.ts';
import { RangeJob } from './range-job.ts';
import type { Reading, ReadingContext } from './reading.ts';
import { type Stage, timedStages } from './stages.ts';
import type { WrittenPart } from './transfer/messages.ts';
import { type RemoteTarget, WorkerLost } from './transfer/transfers.ts';
import type { Transport } from './transport.ts';

/** Fetched and not yet written: a kill costs no more than this, and what is under way. */
const BACKLOG_BYTES = 8 * 1024 * 1024;

/** Gives all of a read but what is there already to `write`, in whatever order it comes. */
export async function fill(
  { planner, context, running }: Reading,
  had: readonly ByteRange[],
  write: (content: FileSpan) => Promise<void>,
  remote?: RemoteTarget,
): Promise<void> {
  const { transport, read } = context;
  const { log } = read.http;
  const backlog = new MemoryBudget(Math.min(BACKLOG_BYTES, transport.budget.limitBytes), 0);
  const written = new Coverage();
  for (const { start, end } of had) written.add(start, end - start, NO_CHUNKS);
  const options = {
    ...running,
    write: async (content: FileSpan) => {
      await write(content);
      written.add(content.at, content.bytes.length, NO_CHUNKS);
    },
    remote: remote && {
      ...remote,
      note: async (part: WrittenPart) => {
        await remote.note(part);
        written.add(part.at, part.length, NO_CHUNKS);
      },
    },
  };
  for (let planned = false; !planned; ) {
    try {
      for await (const stage of timedStages(planner, [...written.parts], log)) {
        const writing = writeUnordered(stage, { ...context, backlog }, options);
        await log.timed('waitingForData', () => writing);
      }
      planned = true;
    } catch (error) {
      // What has been learned of the server, or the loss of a worker, makes another plan for the rest.
      if (!(error instanceof RangesBelongTogether || error instanceof WorkerLost)) throw error;
    }
  }
}

export interface WriteUnorderedOptions extends RunOptions {
  /** Puts bytes in their place; they are the caller's until it has resolved. Calls overlap. */
  write: (content: FileSpan) => Promise<void>;
  /** Set if transfer workers may put bytes in their place themselves. */
  remote?: RemoteTarget | undefined;
}

/** One is read, one checked and one written. */
const LOCALS_AT_ONCE = 3;
/** Jobs of one file that wait for a lane or have one. How many have one is for the lanes to say. */
const MAX_STARTED = 32;

/**
 * The wanted bytes in whatever order they come: nothing waits in memory for its turn, and what is there when
 * the process ends is lost to no one. Ends when all of it has been written; the first failure ends it all.
 */
export async function writeUnordered(
  stage: Stage,
  context: ReadingContext,
  options: WriteUnorderedOptions,
): Promise<void> {
  const { transport } = context;
  const { plan } = stage;
  const { signal } = options;
  signal.throwIfAborted();
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const inner = { ...options, signal: stop.signal };
  const jobs = new Map<number, Pick<RangeJob, 'stop' | 'makeUrgent'>>();
  const active = new Set<Promise<void>>();
  let failure: { reason: unknown } | undefined;
  const track = (work: Promise<void>) => {
    // Of two that end in the same moment a race tells of one only.
    const done = work
      .catch((reason: unknown) => {
        failure ??= { reason };
      })
      .finally(() => active.delete(done));
    active.add(done);
  };
  const start = (index: number) => {
    const { remote } = options;
    // What is known of the chunks can only be looked up here.
    if (remote?.transfers.isAvailable && !context.isRight) {
      const job = remote.transfers.job(stage, index, context, transport);
      jobs.set(index, job);
      track(job.run(remote).finally(() => jobs.delete(index)));
      return;
    }
    const job = new RangeJob(specOf(stage, index), { ...context, inPlace: true });
    jobs.set(index, job);
    track(fetchJob(stage, index, job, inner, transport).finally(() => jobs.delete(index)));
  };
  stop.signal.addEventListener('abort', () => {
    for (const job of jobs.values()) job.stop(stop.signal.reason);
  });
  try {
    if (stage.locals.length > 0) track(copyLocals(stage, inner));
    let next = 0;
    while (next < plan.jobs.length || active.size > 0) {
      while (next < plan.jobs.length && jobs.size < MAX_STARTED) start(next++);
      // Were none of them urgent, all could hold a little memory and wait for more.
      jobs.get(Math.min(...jobs.keys()))?.makeUrgent();
      await Promise.race(active);
      if (failure) throw failure.reason;
    }
  } catch (error) {
    stop.abort(error);
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort(NO_LONGER_WANTED);
    await Promise.allSettled(active);
  }
}

async function fetchJob(
  stage: Stage,
  index: number,
  job: RangeJob,
  { write, signal }: WriteUnorderedOptions,
  { buffers }: Transport,
): Promise<void> {
  const { plan } = stage;
  const takers = (plan.jobs[index]?.pieces ?? []).flatMap((piece) => {
    const taken = plan.pieces[piece];
    return taken ? [new PieceSlicer(taken)] : [];
  });
  const running = job.run();
  try {
    for await (const batch of job.all()) {
      const { data, chunks } = await batch.decoded;
      for (const taker of takers) {
        const share = taker.take(batch, chunks);
        signal.throwIfAborted();
        if (share) await write({ at: share.at, bytes: data.subarray(share.start, share.end), chunks: share.chunks });
      }
      // All of it is written: the next run of frames may have its memory.
      buffers.give(data.buffer);
    }
    for (const taker of takers) taker.finish();
  } finally {
    job.stop(NO_LONGER_WANTED);
    await running;
    job.dispose();
  }
}

async function copyLocals({ locals, range }: Stage, options: WriteUnorderedOptions): Promise<void> {
  const reading = { ...options, lent: true };
  await inParallel(locals, LOCALS_AT_ONCE, async (part) => {
    for await (const content of readLocal(part, range, reading)) {
      options.signal.throwIfAborted();
      await options.write(content);
    }
  });
}
