import type { CodecPool } from '../../workers/pool.ts';
import type { FetchRange } from '../cas/reconstruction.ts';
import type { DecodedRun } from '../codec/codec.ts';
import { isXetError, XetError } from '../errors.ts';
import type { Http } from '../http/http.ts';
import type { ByteRange, ChunkRange } from '../ranges.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import type { FrameRun } from '../xorb/frames.ts';
import type { MemoryBudget } from './budget.ts';
import { corrupt, cutShort, fetchRuns, RUN_BYTES } from './fetch-runs.ts';
import type { Pace } from './hedge.ts';
import type { Lanes } from './lanes.ts';
import { openRange } from './open-range.ts';
import type { SignedUrls } from './signed-urls.ts';

/** A run of a range's chunks that has been fetched, and is decoded or being so. */
export interface Batch {
  chunks: ChunkRange;
  decoded: Promise<DecodedRun>;
  /** Gives back the memory when all pieces have had their share. */
  release(): void;
  /** Pieces that want a share of it and have not had it. */
  users: number;
  seen: boolean;
}

export interface JobContext {
  http: Http;
  urls: SignedUrls;
  pool: CodecPool;
  budget: MemoryBudget;
  lanes: Lanes;
  pace: Pace;
  buffers: RunBuffers;
  fresh: boolean;
  attempts: number;
  onNetworkBytes: (bytes: number) => void;
}

/** What a job holds beside its batches: the run it is collecting. */
export const JOB_BYTES = RUN_BYTES + 256 * 1024;

/**
 * Fetches ranges of a xorb and has them decoded as they arrive. Reads no faster than the memory budget allows,
 * and fetches what cannot be decoded once more before it calls it corrupt.
 */
export class RangeJob {
  readonly #xorb: string;
  readonly #ranges: readonly FetchRange[];
  /** Chunks that the pieces want; a chunk outside of all is not decoded. */
  readonly #wanted: readonly ChunkRange[];
  readonly #context: JobContext & { signal: AbortSignal };
  readonly #abort = new AbortController();
  readonly #batches: Batch[] = [];
  /** Batches that nobody has looked at yet. */
  #unseen = 0;
  #error: { reason: unknown } | undefined;
  #done = false;
  #wake: (() => void)[] = [];
  #urgent = false;

  constructor(xorb: string, ranges: readonly FetchRange[], wanted: readonly ChunkRange[], context: JobContext) {
    this.#xorb = xorb;
    this.#ranges = ranges;
    this.#wanted = wanted;
    this.#context = { ...context, signal: this.#abort.signal };
  }

  /** Runs to the end of the range; failures reach whoever reads the batches. */
  async run(): Promise<void> {
    const { budget, lanes, signal } = this.#context;
    try {
      await lanes.enter(this.#isUrgent, signal);
      try {
        await budget.acquire(JOB_BYTES, this.#isUrgent, signal);
        try {
          await this.#fetch();
        } finally {
          budget.release(JOB_BYTES);
        }
      } finally {
        lanes.leave();
      }
    } catch (reason) {
      this.#error = { reason };
    }
    this.#done = true;
    this.#notify();
  }

  /** Ends it at once; whoever reads its batches gets the reason. */
  stop(reason: unknown): void {
    this.#abort.abort(reason);
  }

  /** Marks the job as the one that its file waits for. */
  makeUrgent(): void {
    this.#urgent = true;
    this.#context.lanes.recheck();
    this.#context.budget.recheck();
  }

  readonly #isUrgent = (): boolean => this.#urgent && this.#unseen === 0;

  /** The batches that hold the chunks of a piece, in order, each as soon as it is there. */
  async *batches(chunks: ChunkRange): AsyncGenerator<Batch, void, undefined> {
    for (let next = chunks.start; next < chunks.end; ) {
      const batch = this.#batches.find((one) => one.chunks.start <= next && next < one.chunks.end);
      if (batch) {
        next = batch.chunks.end;
        this.#see(batch);
        yield batch;
        continue;
      }
      if (this.#error) throw this.#error.reason;
      if (this.#done) throw new XetError('PROTOCOL', `Xorb ${this.#xorb} ends before chunk ${next}.`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #see(batch: Batch): void {
    if (batch.seen) return;
    batch.seen = true;
    this.#unseen--;
    if (this.#unseen === 0) this.#context.budget.recheck();
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async #fetch(): Promise<void> {
    const source = { ...this.#context, xorb: this.#xorb, ranges: this.#ranges, needed: this.#isUrgent };
    for await (const run of fetchRuns(source)) await this.#take(run);
  }

  async #take(run: FrameRun): Promise<void> {
    const chunks = { start: run.firstChunk, end: run.firstChunk + run.count };
    const users = this.#wanted.filter((wanted) => wanted.start < chunks.end && chunks.start < wanted.end).length;
    if (users === 0) return;
    const { budget, pool, signal, buffers } = this.#context;
    // Nothing that lives as long as the batch may refer to the run: its frames are done with after decoding.
    const { start, unpackedLength, frames } = run;
    const frameBytes = frames.buffer.byteLength;
    const again = { start, end: start + frames.length };
    await budget.acquire(frameBytes + unpackedLength, this.#isUrgent, signal);
    const decoded = pool
      .decodeRun(frames, signal, (buffer) => buffers.give(buffer))
      .catch((error: unknown) => this.#decodeAgain(error, again))
      .finally(() => budget.release(frameBytes));
    // Whoever reads the batch gets the error; until then it is nobody's unhandled rejection.
    decoded.catch(() => undefined);
    this.#unseen++;
    this.#batches.push({ chunks, decoded, users, seen: false, release: releaseOnce(budget, unpackedLength) });
    this.#notify();
  }

  /** The one honest retry: the same frames once more, past all caches. */
  async #decodeAgain(error: unknown, frames: ByteRange): Promise<DecodedRun> {
    const { http, urls, pool, signal, fresh, onNetworkBytes } = this.#context;
    if (!isXetError(error, 'PROTOCOL', 'CODEC_CRASHED')) throw error;
    if (fresh) throw isXetError(error, 'PROTOCOL') ? corrupt(this.#xorb, error) : error;
    const again = new Uint8Array(frames.end - frames.start);
    let filled = 0;
    const source = { http, urls, fresh: true };
    const range = this.#ranges.find(({ bytes }) => bytes.start <= frames.start && frames.end <= bytes.end);
    if (!range) throw error;
    for await (const piece of openRange(source, this.#xorb, range, frames.start, signal)) {
      const taken = piece.subarray(0, again.length - filled);
      again.set(taken, filled);
      filled += taken.length;
      onNetworkBytes(taken.length);
      if (filled === again.length) break;
    }
    if (filled < again.length) throw cutShort(again.length - filled, this.#xorb);
    try {
      return await pool.decodeRun(again, signal);
    } catch (second) {
      throw isXetError(second, 'PROTOCOL') ? corrupt(this.#xorb, second) : second;
    }
  }

  /** Drops what was fetched and not used. */
  dispose(): void {
    for (const batch of this.#batches) batch.release();
  }
}

/** Apart from where the run is at hand, so that it cannot be kept by accident. */
function releaseOnce(budget: MemoryBudget, bytes: number): () => void {
  let held = true;
  return () => {
    if (held) budget.release(bytes);
    held = false;
  };
}
