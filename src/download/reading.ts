import type { Term } from '../cas/reconstruction.ts';
import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan, LocalPart } from '../core/content.ts';
import type { ByteRange } from '../core/ranges.ts';
import { assemble } from './assemble.ts';
import type { JobContext } from './fetch-runs.ts';
import { type RunOptions, readLocal } from './local-part.ts';
import { RangesBelongTogether } from './open-range.ts';
import { timedStages, type WindowPlanner } from './stages.ts';
import type { Transport } from './transport.ts';

/** Adjustments of a stream. */
export type StreamContext = Pick<JobContext, 'backlog' | 'stepBytes' | 'inPlace'>;

/** Surroundings of the jobs of a read on this thread. */
export type ReadingContext = JobContext & { transport: Transport };

/** A read over Xet that was prepared. It can be streamed in file order; `fill` of `write-unordered` takes it in any order. */
export class Reading {
  readonly planner: WindowPlanner;
  readonly context: ReadingContext;
  readonly running: RunOptions;

  constructor(planner: WindowPlanner, context: ReadingContext, running: RunOptions) {
    this.planner = planner;
    this.context = context;
    this.running = running;
  }

  /** All terms of the range, once all of it has been planned. */
  get terms(): readonly Term[] {
    return this.planner.terms;
  }

  /** Plans all of it and fetches nothing. */
  async plan(): Promise<readonly Term[]> {
    for await (const _ of this.planner.all([])) this.running.signal.throwIfAborted();
    return this.planner.terms;
  }

  /** All of it but what is there already, in file order. `lookAhead` is the number of jobs that may run ahead. */
  async *stream(
    had: readonly ByteRange[],
    lookAhead: () => number,
    adjusted: StreamContext = {},
  ): AsyncGenerator<FileSpan, void, undefined> {
    const context = { ...this.context, ...adjusted };
    const { log } = context.read.http;
    let given = 0;
    for (let planned = false; !planned; ) {
      const there = [{ start: 0, end: given }, ...had.filter(({ end }) => end > given)];
      try {
        for await (const stage of timedStages(this.planner, given > 0 ? there : had, log)) {
          for await (const content of assemble(stage, context, { ...this.running, lookAhead })) {
            given = content.at + content.bytes.length;
            yield content;
          }
        }
        planned = true;
      } catch (error) {
        // What has been learned of the server makes another plan for the rest.
        if (!(error instanceof RangesBelongTogether)) throw error;
      }
    }
  }

  /**
   * A planned part of the file: what this machine holds of it, and the rest from `fetched`. So plain HTTP fetches nothing twice
   * that was kept.
   */
  async *kept(
    part: ByteRange,
    fetched: (part: ByteRange) => AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let at = part.start;
    const elsewhere = async function* (rest: ByteRange): AsyncGenerator<FileSpan, void, undefined> {
      for await (const bytes of fetched(rest)) yield { at: 0, bytes, chunks: NO_CHUNKS };
    };
    const running = { ...this.running, elsewhere, onLocal: () => undefined };
    for (const local of await this.#here(part)) {
      if (local.start > at) yield* fetched({ start: at, end: local.start });
      const wanted = { start: Math.max(at, local.start), end: part.end };
      for await (const { bytes } of readLocal(local, wanted, running)) yield bytes;
      at = Math.max(at, Math.min(local.end, part.end));
    }
    if (at < part.end) yield* fetched({ start: at, end: part.end });
  }

  #here(part: ByteRange): Promise<LocalPart[]> {
    return this.planner.here(part);
  }
}
