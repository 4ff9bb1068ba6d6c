import type { ChunkRun } from '../cache/chunks/chunk-store.ts';
import { CasClient, type CasVersions } from '../cas/client.ts';
import type { Term } from '../cas/reconstruction.ts';
import type { BatchForms } from '../cas/reconstructions-ahead.ts';
import type { ChunkRecords } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { hashToHex } from '../core/hash.ts';
import { MetricsLog } from '../core/metrics.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { Http } from '../http/http.ts';
import { isOutage } from '../http/tries.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { runBufferBytes } from '../xorb/frames.ts';
import { assembleAll, type Reading } from './assemble.ts';
import type { EngineParts, FillOptions, ReadOptions, StreamOptions } from './engine-types.ts';
import { RUN_BYTES } from './fetch-runs.ts';
import { FrameStarts } from './frame-starts.ts';
import { ThroughputAverage } from './hedge.ts';
import { RangeRules } from './open-range.ts';
import type { PlainSource } from './plain.ts';
import type { Piece } from './plan.ts';
import { WindowPlanner } from './stages.ts';

const WINDOW_BYTES = 2 * 1024 ** 3;

/**
 * Shared state of all downloads of a client, and the first and last step of each. In between, `read-range` delivers
 * bytes in file order, `bring-range` and `fill-file` in any order.
 */
export class DownloadEngine {
  readonly parts: EngineParts;
  readonly #casVersions: CasVersions = new Map();
  /** The form of batch reconstruction that each CAS answers. */
  readonly batchForms: BatchForms = new Map();
  readonly #pace = new ThroughputAverage();
  readonly #buffers = new RunBuffers(runBufferBytes(RUN_BYTES));
  readonly #rules: RangeRules;

  constructor(parts: EngineParts) {
    this.parts = parts;
    this.#rules = new RangeRules(parts.requestBytes);
  }

  /** Log of one download, which also counts into the client's log. */
  newLog(): MetricsLog {
    return new MetricsLog(this.parts.http.log);
  }

  /** True if this file's bytes come from a CAS. */
  overXet(file: ResolvedFile): file is CasFile {
    return this.parts.xet && file.xetHash !== undefined;
  }

  /** Requests and bytes of one download, noted for the client as well. */
  counted(options: ReadOptions): { http: Http; log: MetricsLog } {
    const { http } = this.parts;
    const log = options.log ?? http.log;
    return { http: http.with(log), log };
  }

  /**
   * The way to what is missing after Xet has failed. Throws the error again where neither way helps: plain HTTP is for
   * when some host answers and Xet is what failed, not for when the network is away.
   *
   * @param progressed whether Xet gave anything since it was last begun.
   */
  async wayOn(
    file: CasFile,
    error: unknown,
    { signal }: ReadOptions,
    http: Http,
    progressed: boolean,
  ): Promise<'xet' | 'plain'> {
    // Corrupt data is told, not smoothed over, and a server that asks for patience gets it.
    const final = ['INTEGRITY', 'RATE_LIMITED', 'CLOSED', 'INVALID_ARGUMENT', ...DISK_CODES];
    // Only the Xet hash of a file in a bucket is known, and plain HTTP cannot be checked by it.
    const canFallBack = this.parts.fallback && file.repo.type !== 'bucket';
    if (!canFallBack || signal.aborted || !isXetError(error) || final.includes(error.code)) throw error;
    if (isOutage(error)) {
      const { hub } = this.parts;
      const once = http.once();
      if (!(await answers(hub.resolve(file.repo, file.commit, file.path, { signal, http: once })))) throw error;
      const cas = new CasClient(once, hub.tokens(file.tokenUrl), this.#casVersions);
      const first = { start: 0, end: 1 };
      // The network is back, and with it the CAS.
      if (progressed && (await answers(cas.reconstruction(file.xetHash, first, signal)))) return 'xet';
      signal.throwIfAborted();
    }
    const reason = error.message.replace(/\.$/, '');
    this.parts.onWarning(`'${file.path}' is not available over Xet (${reason}); fetching it over plain HTTP.`);
    return 'plain';
  }

  /** Dependencies of plain HTTP. */
  plainSource(http: Http): PlainSource {
    const { hub, makeHash, attempts } = this.parts;
    return { http, headers: hub.headers, makeHash, attempts };
  }

  /** Prepares a read of a range over Xet. `keep` stores its chunks, because no file is left behind. */
  async begin(
    file: CasFile,
    range: ByteRange,
    options: Pick<StreamOptions, 'sections' | 'wholeChunks'> & Pick<FillOptions, 'ahead'> & ReadOptions,
    http: Http,
    how: { keep: boolean; networkOnly?: boolean; maxHeldBytes?: number | undefined },
  ): Promise<Reading> {
    const { hub, pool, budget, lanes, attempts, together, windowBytes = WINDOW_BYTES } = this.parts;
    const { xetHash: fileHash } = file;
    const { signal, fresh = false, onNetworkBytes = () => undefined } = options;
    const caches = fresh || options.networkOnly || how.networkOnly ? undefined : this.parts.caches;
    // What was known led to corrupt data, or it would not have to be read afresh. The hash of a whole file tells what
    // is right without it; a part of one has nothing else to be checked by.
    const doubtful = fresh && isWhole(file, range);
    if (doubtful) await this.parts.caches?.forget(fileHash);
    const stages = new WindowPlanner({
      cas: new CasClient(http, hub.tokens(file.tokenUrl), this.#casVersions),
      fileHash,
      fileSize: file.size,
      range,
      windowBytes,
      plan: {
        maxHeldBytes: how.maxHeldBytes ?? budget.limitBytes / 8,
        group: together !== undefined,
        allAtOnce: (url) => together !== undefined && this.#rules.of(url) === 'all ranges at once',
      },
      caches,
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
      rules: this.#rules,
      starts: new FrameStarts(),
      together,
      fresh,
      attempts,
      onNetworkBytes,
      // Also of what is had elsewhere, as it turned out not to be here.
      isRight: doubtful ? undefined : await this.parts.caches?.checkFor(fileHash),
      onRun: how.keep ? caches && ((xorb: string, run: ChunkRun) => caches.keepChunks(xorb, run)) : undefined,
    };
    const running = {
      signal,
      kept:
        how.keep && caches?.stores.chunks
          ? ({ term, at, skip, length }: Piece) =>
              caches.findLocalParts(fileHash, [{ ...term, at: at - skip }], [{ start: at, end: at + length }], signal)
          : undefined,
      onLocal: (bytes: number) => {
        http.log.add('cache', bytes);
        options.onCachedBytes?.(bytes);
      },
      elsewhere: (rest: ByteRange) => this.#elsewhere(file, rest, options, http),
    };
    return { stages, context, running };
  }

  /** Throws `INTEGRITY` unless these chunks give the file hash; keeps how the file is built. */
  async seal(file: CasFile, records: ChunkRecords, terms: readonly Term[]): Promise<void> {
    const { xetHash: expected } = file;
    const actual = hashToHex(await this.parts.pool.fileHash(records.slice()));
    if (actual === expected) {
      if (terms.length > 0) await this.parts.caches?.keepRecipe(expected, file.size, terms, records);
      return;
    }
    // What a read left in the cache may be the very thing that is wrong.
    const { caches } = this.parts;
    const known = (await caches?.termsOf(expected, file.size)) ?? [];
    await caches?.distrust(
      expected,
      [...terms, ...known].map(({ xorb }) => xorb),
    );
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' came with file hash ${actual}, asked for was ${expected}. The data is corrupt.`,
    );
  }

  /** A range in order, from nowhere but the network. */
  async *#elsewhere(
    file: CasFile,
    range: ByteRange,
    options: ReadOptions,
    http: Http,
  ): AsyncGenerator<FileSpan, void, undefined> {
    yield* assembleAll(await this.begin(file, range, options, http, ASKING), [], () => 1, http.log);
  }
}

/** True if a request reaches a server, whatever that says. */
const answers = (request: Promise<unknown>): Promise<boolean> =>
  request.then(
    () => true,
    (error: unknown) => isXetError(error) && !isOutage(error),
  );

/** A file whose bytes are in a CAS. */
export type CasFile = ResolvedFile & { xetHash: string };

/** Nothing from here, and nothing kept here. */
export const ASKING = { keep: false, networkOnly: true };

/** Failures to write: no other way to fetch helps. */
const DISK_CODES = ['DISK_FULL', 'PERMISSION', 'CACHE', 'QUOTA'];

export function isWhole(file: ResolvedFile, range: ByteRange): boolean {
  return range.start === 0 && range.end === file.size;
}
