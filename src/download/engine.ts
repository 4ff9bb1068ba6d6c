import type { ChunkRun } from '../cache/chunk-store.ts';
import { CasClient, type CasVersions } from '../cas/client.ts';
import type { Term } from '../cas/reconstruction.ts';
import type { ChunkRecords } from '../chunks.ts';
import { isXetError, XetError } from '../errors.ts';
import { hashToHex } from '../hash.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { MetricsLog } from '../metrics.ts';
import { type ByteRange, lengthOf } from '../ranges.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { runBufferBytes } from '../xorb/frames.ts';
import { assemble, type RunOptions, type Stage } from './assemble.ts';
import { MemoryBudget } from './budget.ts';
import type { Verified } from './content-hash.ts';
import { Coverage } from './coverage.ts';
import type { EngineParts, FillOptions, FillTarget, ReadOptions, StreamOptions } from './engine-types.ts';
import { RUN_BYTES } from './fetch-runs.ts';
import { Pace } from './hedge.ts';
import { RequestSteps } from './open-range.ts';
import { fillPlain, type PlainSource, readPlain } from './plain.ts';
import type { JobContext } from './range-job.ts';
import { scatter } from './scatter.ts';
import type { Content } from './shares.ts';
import { Stages } from './stages.ts';
import { TaskTurns } from './task-turns.ts';

const WINDOW_BYTES = 8 * 1024 ** 3;

/** Of a file, fetched and not yet written: a kill costs no more than this, and what is under way. */
const BACKLOG_BYTES = 8 * 1024 * 1024;

const NO_CHUNKS = new Uint8Array();

/** Turns a resolved file into its bytes. Holds what all downloads of a client share. */
export class DownloadEngine {
  readonly #parts: EngineParts;
  readonly #casVersions: CasVersions = new Map();
  readonly #pace = new Pace();
  readonly #buffers = new RunBuffers(runBufferBytes(RUN_BYTES));
  readonly #steps: RequestSteps;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#steps = new RequestSteps(parts.requestBytes);
  }

  /**
   * The bytes of a half-open range, in order. When that is the whole file, the end is reached only after the
   * content was found to be what was asked for; otherwise `INTEGRITY` is thrown in its place.
   */
  async *read(file: ResolvedFile, range: ByteRange, options: StreamOptions): AsyncGenerator<Content, void, undefined> {
    const { http, log } = this.#counted(options);
    const content = this.#content(file, range, options, http);
    const turns = new TaskTurns();
    try {
      for (;;) {
        const { done, value } = await log.timed('waitingForData', () => content.next());
        if (done) return;
        log.add('content', value.bytes.length);
        yield value;
        await turns.after(value.bytes.length);
      }
    } finally {
      await content.return();
    }
  }

  /**
   * Puts a whole file together at its place, from where it stands, in whatever order its parts come; gives how
   * it was found to be right, or throws `INTEGRITY`.
   */
  async fill(file: ResolvedFile, target: FillTarget, options: FillOptions): Promise<Verified> {
    const { http, log } = this.#counted(options);
    const coverage = new Coverage();
    for (const { start, end, chunks } of target.held) coverage.add(start, end - start, chunks);
    options.onFound?.(lengthOf(target.held));
    const write = async (content: Content) => {
      await log.timed('writing', () => target.write(content.at, content.bytes, content.chunks));
      coverage.add(content.at, content.bytes.length, content.chunks);
      log.add('content', content.bytes.length);
    };
    if (this.#parts.xet && !options.plain && file.xetHash !== undefined) {
      try {
        return await this.#fillXet(file, file.xetHash, coverage, write, options, http);
      } catch (error) {
        this.#fallBack(file, error, options);
        options.onFallback?.();
      }
    }
    return this.#fillPlain(file, target, coverage, write, options, http);
  }

  /**
   * The bytes of a range in whatever order they come, each run lent to `take` until that returns: nothing waits in memory
   * for its turn. Where Xet cannot serve, `restart` is called and all of it comes again. A whole file is verified.
   */
  async bring(
    file: ResolvedFile,
    range: ByteRange,
    options: StreamOptions,
    take: (content: Content) => void,
    restart: () => void,
  ): Promise<void> {
    const { http, log } = this.#counted(options);
    const counted = (content: Content) => {
      log.add('content', content.bytes.length);
      take(content);
    };
    if (this.#parts.xet && file.xetHash !== undefined) {
      try {
        return await this.#bringXet(file, file.xetHash, range, counted, options, http);
      } catch (error) {
        this.#fallBack(file, error, options);
        restart();
      }
    }
    for await (const content of this.#readPlain(file, range, range.start, options, http)) counted(content);
  }

  /** Where one download of many notes its share of the client's requests and bytes. */
  newLog(): MetricsLog {
    return new MetricsLog(this.#parts.http.log);
  }

  /** Whether this file's bytes come from a CAS. */
  overXet(file: ResolvedFile): boolean {
    return this.#parts.xet && file.xetHash !== undefined;
  }

  /** How a file is built, as its CAS says. */
  async terms(file: ResolvedFile, signal: AbortSignal): Promise<readonly Term[]> {
    const { xetHash } = file;
    if (xetHash === undefined) return [];
    const range = { start: 0, end: file.size };
    const { stages } = await this.#reading(file, xetHash, range, { signal }, this.#parts.http, ASKING);
    for await (const _ of stages.all([])) signal.throwIfAborted();
    return stages.terms;
  }

  #counted(options: ReadOptions): { http: Http; log: MetricsLog } {
    const { http } = this.#parts;
    const log = options.log ?? http.log;
    return { http: http.with(log), log };
  }

  async *#content(
    file: ResolvedFile,
    range: ByteRange,
    options: StreamOptions,
    http: Http,
  ): AsyncGenerator<Content, void, undefined> {
    let at = range.start;
    if (this.#parts.xet && file.xetHash !== undefined) {
      try {
        for await (const content of this.#readXet(file, file.xetHash, range, options, http)) {
          at = content.at + content.bytes.length;
          yield content;
        }
        return;
      } catch (error) {
        this.#fallBack(file, error, options);
      }
    }
    yield* this.#readPlain(file, range, at, options, http);
  }

  /** Throws again what plain HTTP is no answer to. */
  #fallBack(file: ResolvedFile, error: unknown, { signal }: ReadOptions): void {
    // Corrupt data is told, not smoothed over, and a server that asks for patience gets it.
    const final = ['INTEGRITY', 'RATE_LIMITED', 'CLOSED', 'INVALID_ARGUMENT', ...DISK_CODES];
    if (!this.#parts.fallback || signal.aborted || !isXetError(error) || final.includes(error.code)) throw error;
    this.#parts.onWarning(`'${file.path}' cannot be had over Xet (${error.message}); going on over plain HTTP.`);
  }

  #plainSource(http: Http): PlainSource {
    const { hub, makeHash, attempts } = this.#parts;
    return { http, headers: hub.headers, makeHash, attempts };
  }

  async *#readPlain(
    file: ResolvedFile,
    range: ByteRange,
    from: number,
    options: StreamOptions,
    http: Http,
  ): AsyncGenerator<Content, void, undefined> {
    const whole = isWhole(file, range);
    const reading = readPlain(this.#plainSource(http), file, { start: from, end: range.end }, whole, options);
    let at = from;
    for (;;) {
      const { done, value } = await reading.next();
      if (done) {
        if (value) options.onVerified?.(value);
        return;
      }
      if (this.overXet(file)) http.log.add('fallback', value.length);
      yield { at, bytes: value, chunks: NO_CHUNKS };
      at += value.length;
    }
  }

  async #fillPlain(
    file: ResolvedFile,
    target: FillTarget,
    coverage: Coverage,
    write: (content: Content) => Promise<void>,
    options: FillOptions,
    http: Http,
  ): Promise<Verified> {
    const before = lengthOf(coverage.parts);
    for (const { start, end } of target.unchecked) {
      for (const part of coverage.holes({ start, end })) coverage.add(part.start, part.end - part.start, NO_CHUNKS);
    }
    options.onFound?.(lengthOf(coverage.parts) - before);
    return fillPlain(this.#plainSource(http), file, {
      ...options,
      had: [...coverage.parts],
      read: (range) => target.read(range),
      write: async (at, bytes) => {
        if (this.overXet(file)) http.log.add('fallback', bytes.length);
        await write({ at, bytes, chunks: NO_CHUNKS });
      },
    });
  }

  async *#readXet(
    file: ResolvedFile,
    fileHash: string,
    range: ByteRange,
    options: StreamOptions,
    http: Http,
  ): AsyncGenerator<Content, void, undefined> {
    const whole = isWhole(file, range);
    const coverage = new Coverage();
    const { stages, context, running } = await this.#reading(file, fileHash, range, options, http, { keep: true });
    const { lanes } = this.#parts;
    const lending = { ...context, inPlace: options.lent };
    for await (const stage of timedStages(stages, [], http.log)) {
      for await (const content of assemble(stage, lending, { ...running, lookAhead: () => lanes.limit })) {
        if (whole) coverage.add(content.at, content.bytes.length, content.chunks);
        yield content;
      }
    }
    if (!whole) return;
    await this.#seal(file, fileHash, coverage.records(), stages.terms);
    options.onVerified?.('xet');
  }

  async #fillXet(
    file: ResolvedFile,
    fileHash: string,
    coverage: Coverage,
    write: (content: Content) => Promise<void>,
    options: FillOptions,
    http: Http,
  ): Promise<Verified> {
    const range = { start: 0, end: file.size };
    // What is written at once is held for nobody, however often it is wanted.
    const how = { keep: false, maxHeldBytes: this.#parts.sequentialWrites ? undefined : Number.POSITIVE_INFINITY };
    const reading = await this.#reading(file, fileHash, range, options, http, how);
    const { stages, context, running } = reading;
    const { lanes, sequentialWrites } = this.#parts;
    const had = [...coverage.parts];
    if (sequentialWrites) {
      for await (const stage of timedStages(stages, had, http.log)) {
        const inOrder = assemble(stage, { ...context, inPlace: true }, { ...running, lookAhead: () => lanes.limit });
        for await (const content of inOrder) await write(content);
      }
    } else {
      await this.#scattered(reading, had, write, http);
    }
    await this.#seal(file, fileHash, coverage.records(), stages.terms);
    return 'xet';
  }

  async #bringXet(
    file: ResolvedFile,
    fileHash: string,
    range: ByteRange,
    take: (content: Content) => void,
    options: StreamOptions,
    http: Http,
  ): Promise<void> {
    const whole = isWhole(file, range);
    const coverage = new Coverage();
    const write = async (content: Content) => {
      if (whole) coverage.add(content.at, content.bytes.length, content.chunks);
      take(content);
    };
    const how = { keep: true, maxHeldBytes: Number.POSITIVE_INFINITY };
    const reading = await this.#reading(file, fileHash, range, options, http, how);
    await this.#scattered(reading, [], write, http);
    if (!whole) return;
    await this.#seal(file, fileHash, coverage.records(), reading.stages.terms);
    options.onVerified?.('xet');
  }

  /** Gives all but what is there already to `write`, in whatever order it comes. */
  async #scattered(
    { stages, context, running }: Reading,
    had: readonly ByteRange[],
    write: (content: Content) => Promise<void>,
    http: Http,
  ): Promise<void> {
    const backlog = new MemoryBudget(Math.min(BACKLOG_BYTES, this.#parts.budget.limitBytes), 0);
    for await (const stage of timedStages(stages, had, http.log)) {
      const scattering = scatter(stage, { ...context, backlog }, { ...running, write });
      await http.log.timed('waitingForData', () => scattering);
    }
  }

  /** A range in order, from nowhere but the network. */
  async *#elsewhere(
    file: ResolvedFile,
    fileHash: string,
    range: ByteRange,
    options: ReadOptions,
    http: Http,
  ): AsyncGenerator<Content, void, undefined> {
    const { stages, context, running } = await this.#reading(file, fileHash, range, options, http, ASKING);
    for await (const stage of stages.all([])) yield* assemble(stage, context, { ...running, lookAhead: () => 1 });
  }

  /** What a read of a range over Xet needs. `keep` says that the bytes leave no file and are worth keeping. */
  async #reading(
    file: ResolvedFile,
    fileHash: string,
    range: ByteRange,
    options: Pick<StreamOptions, 'sections' | 'wholeChunks'> & Pick<FillOptions, 'ahead'> & ReadOptions,
    http: Http,
    how: { keep: boolean; networkOnly?: boolean; maxHeldBytes?: number | undefined },
  ): Promise<Reading> {
    const { hub, pool, budget, lanes, attempts, groupRanges, windowBytes = WINDOW_BYTES } = this.#parts;
    const { signal, fresh = false, onNetworkBytes = () => undefined } = options;
    const tiers = fresh || options.networkOnly || how.networkOnly ? undefined : this.#parts.tiers;
    // What was known led to corrupt data, or it would not have to be read afresh. The hash of a whole file tells what
    // is right without it; a part of one has nothing else to be checked by.
    const doubtful = fresh && isWhole(file, range);
    if (doubtful) await this.#parts.tiers?.forget(fileHash);
    const stages = new Stages({
      cas: new CasClient(http, hub.tokens(file.tokenUrl), this.#casVersions),
      fileHash,
      fileSize: file.size,
      range,
      windowBytes,
      plan: { maxHeldBytes: how.maxHeldBytes ?? budget.limitBytes / 8, group: groupRanges },
      tiers,
      sections: fresh ? undefined : options.sections,
      ahead: fresh ? undefined : options.ahead,
      wholeChunks: how.keep && options.wholeChunks,
      // A worker takes longer to start than a CAS to answer.
      onAsk: (bytes) => pool.expect(bytes),
      signal,
    });
    const context = {
      http,
      pool,
      budget,
      lanes,
      pace: this.#pace,
      buffers: this.#buffers,
      steps: this.#steps,
      fresh,
      attempts,
      onNetworkBytes,
      // Also of what is had elsewhere, as it turned out not to be here.
      isRight: doubtful ? undefined : await this.#parts.tiers?.checkFor(fileHash),
      onRun: how.keep ? tiers && ((xorb: string, run: ChunkRun) => tiers.keepChunks(xorb, run)) : undefined,
    };
    const running = {
      signal,
      onLocal: (bytes: number) => {
        http.log.add('cache', bytes);
        options.onCachedBytes?.(bytes);
      },
      elsewhere: (rest: ByteRange) => this.#elsewhere(file, fileHash, rest, options, http),
    };
    return { stages, context, running };
  }

  async #seal(file: ResolvedFile, expected: string, records: ChunkRecords, terms: readonly Term[]): Promise<void> {
    const actual = hashToHex(await this.#parts.pool.fileHash(records.slice()));
    if (actual === expected) {
      if (terms.length > 0) await this.#parts.tiers?.keepRecipe(expected, file.size, terms, records);
      return;
    }
    // What a read left in the cache may be the very thing that is wrong.
    const { tiers } = this.#parts;
    const known = (await tiers?.termsOf(expected, file.size)) ?? [];
    await tiers?.distrust(
      expected,
      [...terms, ...known].map(({ xorb }) => xorb),
    );
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' came with file hash ${actual}, asked for was ${expected}. The data is corrupt.`,
    );
  }
}

/** What a read over Xet needs. */
interface Reading {
  stages: Stages;
  context: JobContext;
  running: RunOptions;
}

/** Nothing from here, and nothing kept here. */
const ASKING = { keep: false, networkOnly: true };

/** Failures to write: no other way to fetch helps. */
const DISK_CODES = ['DISK_FULL', 'PERMISSION', 'CACHE', 'QUOTA'];

function isWhole(file: ResolvedFile, range: ByteRange): boolean {
  return range.start === 0 && range.end === file.size;
}

async function* timedStages(stages: Stages, had: readonly ByteRange[], log: MetricsLog): AsyncGenerator<Stage> {
  const all = stages.all(had);
  for (;;) {
    const { done, value } = await log.timed('planning', () => all.next());
    if (done) return;
    yield value;
  }
}
