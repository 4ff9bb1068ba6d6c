import type { ChunkRun } from '../cache/chunks/chunk-store.ts';
import type { FetchRange } from '../cas/reconstruction.ts';
import type { MemoryBudget } from '../core/budget.ts';
import type { ChunkRecords } from '../core/chunks.ts';
import { isXetError } from '../core/errors.ts';
import type { ChunkRange } from '../core/ranges.ts';
import type { FrameRun } from '../xorb/frames.ts';
import type { FrameStarts } from './frame-starts.ts';
import { hedged } from './hedge.ts';
import { openRange, type RangeSource } from './open-range.ts';
import { corrupt, RangePart } from './range-part.ts';
import type { Read } from './read.ts';
import type { SignedUrls } from './signed-urls.ts';
import type { Transport } from './transport.ts';

/** A range of a xorb to fetch, and the chunks of it that are wanted. */
export interface JobSpec {
  xorb: string;
  urls: Pick<SignedUrls, 'find' | 'renew'>;
  /** Ascending. */
  ranges: readonly FetchRange[];
  /** Chunks that the pieces want; a chunk outside of all is not decoded. */
  wanted: readonly ChunkRange[];
}

/** As much of a client as its jobs need, on whichever thread they run. */
export interface JobTransport
  extends Pick<Transport, 'budget' | 'pool' | 'pace' | 'rules' | 'buffers' | 'attempts' | 'together'> {
  lanes: Pick<Transport['lanes'], 'enter' | 'leave' | 'recheck' | 'received' | 'backOff'>;
}

/** Surroundings of the jobs of one read. */
export interface JobContext {
  readonly transport: JobTransport;
  readonly read: Pick<Read, 'http' | 'report' | 'policy'>;
  /** Offsets of frames that this read has seen. */
  readonly starts: Pick<FrameStarts, 'note' | 'before'>;
  /** Returns false for chunks of which it is known that they are others than these. */
  readonly isRight?: ((xorb: string, first: number, records: ChunkRecords) => boolean) | undefined;
  /** Called with each decoded run before it is delivered; delivery waits for it. */
  readonly onRun?: ((xorb: string, run: ChunkRun) => Promise<void>) | undefined;
  /** Limits what is fetched and not yet used, where that would be lost with the process. */
  readonly backlog?: MemoryBudget | undefined;
  /** Largest request in bytes, if smaller than servers and browsers allow. */
  readonly stepBytes?: (() => number) | undefined;
  /** True if decoded bytes reuse the memory of their frames; the consumer of a batch returns it to the transport's buffers. */
  readonly inPlace?: boolean | undefined;
}

/** A job that is being fetched. */
export interface RunSource {
  context: JobContext;
  job: JobSpec;
  signal: AbortSignal;
  /** True if a reader waits for these bytes now. */
  needed: () => boolean;
}

/** A connection is given up for no less: what is read to its end can be used again. */
const WORTH_STOPPING_BYTES = 256 * 1024;

/**
 * Frames of some ranges of a xorb, in runs, as they arrive. A broken connection resumes at the last complete frame; frames
 * that do not decode are fetched once more past all caches, then they are corrupt.
 */
export async function* fetchRuns(source: RunSource): AsyncGenerator<FrameRun, void, undefined> {
  const { context, job, signal, needed } = source;
  const { attempts, lanes, pace, together } = context.transport;
  const { http, report, policy } = context.read;
  const received = (bytes: number) => {
    report.network?.(bytes);
    lanes.received(bytes);
  };
  const parts = job.ranges.map((range) => new RangePart(context, job, range));
  if (parts.length > 1 && together) {
    yield* together({ ...rangeSource(context, job, policy === 'refetch'), ...job, signal, received }, parts);
  }
  for (const part of parts) {
    let refetch = policy === 'refetch';
    const open = (from: number, one: AbortSignal) =>
      openRange(rangeSource(context, job, refetch), job.xorb, part.range, from, one);
    const tries = http.tries({ kind: 'xorb', attempts, signal });
    while (!part.complete) {
      const before = part.cutter.nextStart;
      let stopped = false;
      try {
        for await (const piece of hedged({ open, from: before, signal, pace, needed })) {
          received(piece.length);
          yield* part.push(piece);
          stopped = part.isEnough && part.left > WORTH_STOPPING_BYTES;
          if (stopped) break;
        }
        // An answer that ended early counts as a failed attempt, also if it brought nothing at all.
        if (!stopped) yield* part.finish();
      } catch (error) {
        if (signal.aborted || !isXetError(error) || !error.retryable) throw error;
        yield* part.keepWhole();
        if (part.cutter.nextStart > before) tries.progressed();
        if (error === part.malformed) {
          if (refetch) throw corrupt(job.xorb, error);
          refetch = true;
        }
        if (isXetError(error, 'RATE_LIMITED', 'SERVER', 'TIMEOUT')) lanes.backOff();
        await tries.failed(error);
      }
    }
    yield* part.cutter.takeComplete();
    part.check();
  }
}

/** Dependencies of requests for the ranges of a job. */
export function rangeSource(
  { transport, read, stepBytes }: JobContext,
  { urls }: JobSpec,
  refetch: boolean,
): RangeSource {
  return { http: read.http, rules: transport.rules, urls, refetch, stepBytes };
}
