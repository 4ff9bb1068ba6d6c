import { mergeRanges } from '../cache/chunks/chunk-runs.ts';
import type { DecodedRun } from '../codec/codec.ts';
import { type ChunkRecords, chunkSlice, totalLength } from '../core/chunks.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { ByteRange, ChunkRange } from '../core/ranges.ts';
import type { FrameRun } from '../xorb/frames.ts';
import { fetchRuns, type JobContext, type JobSpec, rangeSource } from './fetch-runs.ts';
import { openRange } from './open-range.ts';
import { corrupt, cutShort, RUN_BYTES } from './range-part.ts';

/** A run of a range's chunks that has been fetched, and is decoded or being so. */
export interface Batch {
  chunks: ChunkRange;
  decoded: Promise<DecodedRun>;
  /** Gives back the memory when all pieces have had their share. */
  release(): void;
  /** Pieces that want a share of it and have not had it. */
  users: number;
  seen: boolean;
  /** True if it is what later pieces want and no more. */
  least: boolean;
}

/** Of a batch: where later pieces want more than this part of it, all of it is kept. */
const WORTH_KEEPING_ALL = 0.75;

/** Memory that a job holds besides its batches: the run it is collecting. */
export const JOB_BYTES = RUN_BYTES + 256 * 1024;

/**
 * Fetches ranges of a xorb and has them decoded as they arrive. Reads no faster than the memory budget allows,
 * and fetches what cannot be decoded once more before it calls it corrupt.
 */
export class RangeJob {
  readonly #spec: JobSpec;
  readonly #context: JobContext;
  readonly #abort = new AbortController();
  #batches: Batch[] = [];
  /** Batches that nobody has looked at yet. */
  #unseen = 0;
  #error: { reason: unknown } | undefined;
  #done = false;
  #wake: (() => void)[] = [];
  #urgent = false;

  constructor(spec: JobSpec, context: JobContext) {
    this.#spec = spec;
    this.#context = context;
  }

  /** Runs to the end of the range; failures reach whoever reads the batches. */
  async run(): Promise<void> {
    const { budget, lanes } = this.#context.transport;
    const { signal } = this.#abort;
    try {
      await lanes.enter(this.#isUrgent, signal);
      try {
        await this.#backlogHalfEmpty();
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

  /** Another connection is of no use while what comes over the others cannot be kept up with. */
  async #backlogHalfEmpty(): Promise<void> {
    const { backlog } = this.#context;
    if (!backlog) return;
    const half = backlog.limitBytes / 2;
    await backlog.acquire(half, this.#isUrgent, this.#abort.signal);
    backlog.release(half);
  }

  /** Ends it at once; whoever reads its batches gets the reason. */
  stop(reason: unknown): void {
    this.#abort.abort(reason);
  }

  /** Marks the job as the one that its file waits for. */
  makeUrgent(): void {
    this.#urgent = true;
    this.#context.transport.lanes.recheck();
    this.#recheck();
  }

  #recheck(): void {
    this.#context.transport.budget.recheck();
    this.#context.backlog?.recheck();
  }

  readonly #isUrgent = (): boolean => this.#urgent && this.#unseen === 0;

  /** Each batch as soon as it is there. What was not released before the next is asked for is released then. */
  async *all(): AsyncGenerator<Batch, void, undefined> {
    for (;;) {
      const [batch] = this.#batches;
      if (batch) {
        this.#see(batch);
        yield batch;
        batch.release();
        continue;
      }
      if (this.#error) throw this.#error.reason;
      if (this.#done) return;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

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
      if (this.#done) throw new XetError('PROTOCOL', `Xorb ${this.#spec.xorb} ends before chunk ${next}.`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #see(batch: Batch): void {
    if (batch.seen) return;
    batch.seen = true;
    this.#unseen--;
    if (this.#unseen === 0) this.#recheck();
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async #fetch(): Promise<void> {
    const { signal } = this.#abort;
    const source = { context: this.#context, job: this.#spec, signal, needed: this.#isUrgent };
    for await (const run of fetchRuns(source)) await this.#take(run);
  }

  async #take(run: FrameRun): Promise<void> {
    const chunks = { start: run.firstChunk, end: run.firstChunk + run.count };
    const { ranges } = this.#spec;
    const [only] = ranges;
    if (only && ranges.length === 1) {
      this.#context.starts.note(only, chunks.start, run.start);
      this.#context.starts.note(only, chunks.end, run.start + run.frames.length);
    }
    const users = this.#spec.wanted.filter((wanted) => wanted.start < chunks.end && chunks.start < wanted.end).length;
    if (users === 0) return;
    const { transport, backlog, inPlace } = this.#context;
    const { budget, buffers } = transport;
    const { signal } = this.#abort;
    // Nothing that lives as long as the batch may refer to the run: its frames are done with after decoding.
    const { start, unpackedLength, frames } = run;
    const frameBytes = frames.buffer.byteLength;
    const again = { start, end: start + frames.length };
    // A short run would keep a long buffer from others.
    const fits = inPlace && unpackedLength <= frameBytes && 2 * unpackedLength >= frameBytes;
    const [decodingBytes, heldBytes] = fits ? [0, frameBytes] : [frameBytes, unpackedLength];
    await backlog?.acquire(unpackedLength, this.#isUrgent, signal);
    try {
      await budget.acquire(decodingBytes + heldBytes, this.#isUrgent, signal);
    } catch (error) {
      backlog?.release(unpackedLength);
      throw error;
    }
    const decoded = this.#decode(frames, chunks.start, (buffer) => buffers.give(buffer), fits)
      .catch((error: unknown) => this.#decodeAgain(error, again, chunks.start))
      .then((done) => this.#tell(chunks, done))
      .finally(() => budget.release(decodingBytes));
    // Whoever reads the batch gets the error; until then it is nobody's unhandled rejection.
    decoded.catch(() => undefined);
    this.#unseen++;
    this.#hold({ chunks, decoded, users, seen: false, least: false }, () => {
      budget.release(heldBytes);
      backlog?.release(unpackedLength);
    });
    this.#notify();
  }

  #hold(parts: Omit<Batch, 'release'>, onRelease: () => void): void {
    let held = true;
    const release = () => {
      if (held) onRelease();
      held = false;
      // The job outlives its batches by far: what it still knew would stay in memory.
      this.#batches = this.#batches.filter((one) => one !== batch);
    };
    const batch: Batch = { ...parts, release };
    this.#batches.push(batch);
  }

  /**
   * Keeps only what later pieces want of a batch whose first piece has had its share, in memory of its own, and says whether
   * it did: then the batch is done with. One chunk that is wanted again would keep half a megabyte.
   */
  keepLess(batch: Batch, data: Uint8Array, records: ChunkRecords): boolean {
    if (batch.least) return false;
    batch.least = true;
    const { chunks, users } = batch;
    const later = this.#spec.wanted
      .filter(({ start, end }) => start < chunks.end && chunks.start < end)
      .slice(-users)
      .map(({ start, end }) => ({ start: Math.max(start, chunks.start), end: Math.min(end, chunks.end) }));
    const runs = mergeRanges(later).map((run) => {
      const [first, last] = [run.start - chunks.start, run.end - chunks.start];
      const from = totalLength(chunkSlice(records, 0, first));
      const own = chunkSlice(records, first, last);
      return { run, own, from, length: totalLength(own) };
    });
    const bytes = runs.reduce((sum, { length }) => sum + length, 0);
    if (bytes > data.length * WORTH_KEEPING_ALL) return false;
    const { budget } = this.#context.transport;
    for (const { run, own, from, length } of runs) {
      budget.tryAcquire(length, true);
      const decoded = Promise.resolve({ data: data.slice(from, from + length), chunks: own.slice() });
      const wanting = later.filter(({ start, end }) => start < run.end && run.start < end).length;
      this.#hold({ chunks: run, decoded, users: wanting, seen: true, least: true }, () => budget.release(length));
    }
    return true;
  }

  async #decode(
    frames: Uint8Array,
    first: number,
    onSpent?: (buffer: ArrayBufferLike) => void,
    inPlace = false,
  ): Promise<DecodedRun> {
    const { transport, isRight } = this.#context;
    const { pool } = transport;
    const { signal } = this.#abort;
    const run = await (inPlace ? pool.decodeRunInPlace(frames, signal) : pool.decodeRun(frames, signal, onSpent));
    if (!isRight || isRight(this.#spec.xorb, first, run.chunks)) return run;
    throw new XetError('PROTOCOL', `Chunks from ${first} on are not the ones that are known of this xorb`);
  }

  async #tell(chunks: ChunkRange, run: DecodedRun): Promise<DecodedRun> {
    await this.#context.onRun?.(this.#spec.xorb, { chunks, records: run.chunks, bytes: run.data });
    return run;
  }

  /** The one honest retry: the same frames once more, past all caches. */
  async #decodeAgain(error: unknown, frames: ByteRange, first: number): Promise<DecodedRun> {
    const { transport, read } = this.#context;
    const { http, report } = read;
    const { signal } = this.#abort;
    if (!isXetError(error, 'PROTOCOL', 'CODEC_CRASHED')) throw error;
    if (read.policy === 'refetch') throw isXetError(error, 'PROTOCOL') ? corrupt(this.#spec.xorb, error) : error;
    const again = new Uint8Array(frames.end - frames.start);
    let filled = 0;
    const source = { ...rangeSource(this.#context, this.#spec, true), stepBytes: undefined };
    const range = this.#spec.ranges.find(({ bytes }) => bytes.start <= frames.start && frames.end <= bytes.end);
    if (!range) throw error;
    const fill = async () => {
      for await (const piece of openRange(source, this.#spec.xorb, range, frames.start + filled, signal)) {
        const taken = piece.subarray(0, again.length - filled);
        again.set(taken, filled);
        filled += taken.length;
        report.network?.(taken.length);
        if (filled === again.length) return;
      }
      throw cutShort(again.length - filled, this.#spec.xorb);
    };
    const tries = http.tries({ kind: 'xorb', attempts: transport.attempts, signal });
    while (filled < again.length) {
      try {
        await fill();
      } catch (broken) {
        if (signal.aborted || !isXetError(broken) || !broken.retryable) throw broken;
        await tries.failed(broken);
      }
    }
    try {
      return await this.#decode(again, first);
    } catch (second) {
      throw isXetError(second, 'PROTOCOL') ? corrupt(this.#spec.xorb, second) : second;
    }
  }

  /** Drops what was fetched and not used. */
  dispose(): void {
    for (const batch of [...this.#batches]) batch.release();
  }
}
