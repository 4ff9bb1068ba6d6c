import type { CodecPool } from '../../workers/pool.ts';
import { CasClient, type CasVersions } from '../cas/client.ts';
import type { Reconstruction } from '../cas/reconstruction.ts';
import { ChunkRecordList, type ChunkRecords } from '../chunks.ts';
import { isXetError, XetError } from '../errors.ts';
import { hashToHex } from '../hash.ts';
import type { Http } from '../http/http.ts';
import type { HubClient, ResolvedFile } from '../hub/client.ts';
import type { MetricsLog } from '../metrics.ts';
import type { ByteRange } from '../ranges.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { runBufferBytes } from '../xorb/frames.ts';
import { assemble, type Content } from './assemble.ts';
import type { MemoryBudget } from './budget.ts';
import type { MakeContentHash, Verified } from './content-hash.ts';
import { RUN_BYTES } from './fetch-runs.ts';
import { Pace } from './hedge.ts';
import type { Lanes } from './lanes.ts';
import { readPlain } from './plain.ts';
import { planDownload } from './plan.ts';
import { SignedUrls } from './signed-urls.ts';

export interface EngineParts {
  http: Http;
  hub: HubClient;
  pool: CodecPool;
  budget: MemoryBudget;
  lanes: Lanes;
  makeHash: MakeContentHash;
  attempts: number;
  /** Whether several ranges may be asked for at once; in a page that costs a preflight. */
  groupRanges: boolean;
  /** Whether files come through the CAS at all. */
  xet: boolean;
  /** Whether plain HTTP may step in where Xet cannot serve. */
  fallback: boolean;
  onWarning: (message: string) => void;
  /** File bytes that one reconstruction covers at most: its JSON stays small whatever the file's size. */
  windowBytes?: number;
}

/** The part of a file before the range that is read, so that the whole can be verified. */
export interface Held {
  /** Chunks from the file's first byte up to the range. */
  chunks: ChunkRecords;
  /** All bytes from the first to where the reader stands now. */
  bytes: () => AsyncIterable<Uint8Array>;
  /**
   * Takes in bytes behind the range's start that an earlier try left and nobody has checked; gives the offset
   * behind them. Only plain HTTP can use them, as it checks the file as a whole.
   */
  takeUnchecked: () => number;
}

export interface ReadOptions {
  signal: AbortSignal;
  /** Notes the requests and bytes of this read. */
  log?: MetricsLog;
  /** Past all caches, as an earlier try gave corrupt data. */
  fresh?: boolean;
  onNetworkBytes?: (bytes: number) => void;
  /** What is already there of the file. */
  have?: Held | undefined;
  /** Over plain HTTP from the start, as Xet could not serve this file a moment ago. */
  plain?: boolean;
  /** Told when plain HTTP steps in. */
  onFallback?: () => void;
  /** Told how the whole file was found to be right, before the end. */
  onVerified?: (verified: Verified) => void;
}

const WINDOW_BYTES = 8 * 1024 ** 3;

const NO_CHUNKS = new Uint8Array();

/** Turns a resolved file into its bytes. Holds what all downloads of a client share. */
export class DownloadEngine {
  readonly #parts: EngineParts;
  readonly #casVersions: CasVersions = new Map();
  readonly #pace = new Pace();
  readonly #buffers = new RunBuffers(runBufferBytes(RUN_BYTES));

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** Whether this file's bytes come from a CAS. */
  overXet(file: ResolvedFile): boolean {
    return this.#parts.xet && file.xetHash !== undefined;
  }

  /**
   * The bytes of a half-open range, in order. When that ends the whole file, the end is reached only after the
   * content was found to be what was asked for; otherwise `INTEGRITY` is thrown in its place.
   */
  async *read(file: ResolvedFile, range: ByteRange, options: ReadOptions): AsyncGenerator<Content, void, undefined> {
    const log = options.log ?? this.#parts.http.log;
    const content = this.#content(file, range, options, this.#parts.http.with(log));
    try {
      for (;;) {
        const { done, value } = await log.timed('waitingForData', () => content.next());
        if (done) return;
        log.add('content', value.bytes.length);
        yield value;
      }
    } finally {
      await content.return();
    }
  }

  async *#content(
    file: ResolvedFile,
    range: ByteRange,
    options: ReadOptions,
    http: Http,
  ): AsyncGenerator<Content, void, undefined> {
    let at = range.start;
    if (this.#parts.xet && !options.plain && file.xetHash !== undefined) {
      try {
        for await (const content of this.#readXet(file, file.xetHash, range, options, http)) {
          at += content.bytes.length;
          yield content;
        }
        return;
      } catch (error) {
        if (!this.#mayFallBack(error, options)) throw error;
        this.#parts.onWarning(`'${file.path}' cannot be had over Xet (${error.message}); going on over plain HTTP.`);
        options.onFallback?.();
      }
    }
    if (at === range.start) at = options.have?.takeUnchecked() ?? at;
    yield* this.#readPlain(file, { start: at, end: range.end }, range.start, options, http);
  }

  #mayFallBack(error: unknown, { signal }: ReadOptions): error is XetError {
    if (!this.#parts.fallback || signal.aborted) return false;
    // Corrupt data is told, not smoothed over, and a server that asks for patience gets it.
    return isXetError(error) && !['INTEGRITY', 'RATE_LIMITED', 'CLOSED', 'INVALID_ARGUMENT'].includes(error.code);
  }

  async *#readPlain(
    file: ResolvedFile,
    rest: ByteRange,
    asked: number,
    options: ReadOptions,
    http: Http,
  ): AsyncGenerator<Content, void, undefined> {
    const { hub, makeHash, attempts } = this.#parts;
    const { signal, fresh = false, onNetworkBytes = () => undefined, have } = options;
    const whole = rest.end === file.size && (asked === 0 || have !== undefined);
    // What is on disk reaches to where this read began, and what has been handed out since is there as well.
    const reading = readPlain({ http, headers: hub.headers, makeHash, attempts }, file, rest, {
      signal,
      fresh,
      onNetworkBytes,
      whole,
      earlier: have?.bytes,
    });
    for (;;) {
      const { done, value } = await reading.next();
      if (done) {
        if (value) options.onVerified?.(value);
        return;
      }
      if (this.overXet(file)) http.log.add('fallback', value.length);
      yield { bytes: value, chunks: NO_CHUNKS };
    }
  }

  async *#readXet(
    file: ResolvedFile,
    fileHash: string,
    range: ByteRange,
    options: ReadOptions,
    http: Http,
  ): AsyncGenerator<Content, void, undefined> {
    const { hub, pool, budget, lanes, attempts, groupRanges, windowBytes = WINDOW_BYTES } = this.#parts;
    const { signal, fresh = false, onNetworkBytes = () => undefined, have } = options;
    const whole = range.end === file.size && (range.start === 0 || have !== undefined);
    const records = new ChunkRecordList();
    if (have) records.push(have.chunks);
    const cas = new CasClient(http, hub.tokens(file.tokenUrl), this.#casVersions);
    // An empty file has no reconstruction, and an empty range none that could be asked for.
    for (let at = range.start; at < range.end; ) {
      const window = { start: at, end: Math.min(range.end, at + windowBytes) };
      const reconstruction = await http.log.timed('planning', () => cas.reconstruction(fileHash, window, signal));
      const urls = new SignedUrls(reconstruction, (shared) => cas.reconstruction(fileHash, window, shared));
      // A window ends at a chunk border, wherever the server put it behind the one asked for.
      const last = window.end === range.end;
      const length = last ? range.end - at : Math.min(reach(reconstruction), range.end - at);
      if (length <= 0) throw new XetError('PROTOCOL', `The CAS gives nothing of '${file.path}' from byte ${at} on.`);
      const plan = planDownload(reconstruction, length, {
        whole: last && whole,
        maxHeldBytes: budget.limitBytes / 8,
        group: groupRanges,
      });
      const context = {
        http,
        urls,
        pool,
        budget,
        lanes,
        pace: this.#pace,
        buffers: this.#buffers,
        fresh,
        attempts,
        onNetworkBytes,
      };
      for await (const content of assemble(plan, context, { lookAhead: () => lanes.limit, signal })) {
        if (whole) records.push(content.chunks);
        yield content;
      }
      at += length;
    }
    if (!whole) return;
    await this.#seal(file, fileHash, records);
    options.onVerified?.('xet');
  }

  async #seal(file: ResolvedFile, expected: string, records: ChunkRecordList): Promise<void> {
    const actual = hashToHex(await this.#parts.pool.fileHash(records.records.slice()));
    if (actual === expected) return;
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' came with file hash ${actual}, asked for was ${expected}. The data is corrupt.`,
    );
  }
}

/** Bytes that the terms of a reconstruction give, from where it was asked to begin. */
function reach({ terms, offsetIntoFirstTerm }: Reconstruction): number {
  return terms.reduce((sum, { unpackedLength }) => sum + unpackedLength, 0) - offsetIntoFirstTerm;
}
