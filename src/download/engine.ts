import type { ChunkRun } from '../cache/chunks/chunk-store.ts';
import { CasClient } from '../cas/client.ts';
import type { Term } from '../cas/reconstruction.ts';
import type { ChunkRecords } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { hashToHex } from '../core/hash.ts';
import { MetricsLog } from '../core/metrics.ts';
import type { ByteRange } from '../core/ranges.ts';
import { isOutage } from '../http/tries.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { FrameStarts } from './frame-starts.ts';
import type { Piece } from './plan.ts';
import { type CasFile, type FillOptions, isWhole, type Read, type ReadOptions, type StreamOptions } from './read.ts';
import { Reading } from './reading.ts';
import { WindowPlanner } from './stages.ts';
import type { Transfers } from './transfer/transfers.ts';
import { createTransport, type Transport, type TransportParts } from './transport.ts';

const WINDOW_BYTES = 2 * 1024 ** 3;

/** Adjustments of a read over Xet. */
export interface ReadingOptions {
  /** Stores its chunks, because no file is left behind. */
  keep: boolean;
  /** Bytes of repeated chunks that are held for later. Default: a part of the memory budget. */
  maxHeldBytes?: number | undefined;
  sections?: StreamOptions['sections'];
  wholeChunks?: StreamOptions['wholeChunks'];
  ahead?: FillOptions['ahead'];
}

/** The first and the last step of each download of a client; `read-range`, `bring-range` and `fill-file` are in between. */
export class DownloadEngine {
  readonly transport: Transport;
  /** Workers that download to files; undefined if all is done on the calling thread. */
  readonly transfers: Transfers | undefined;

  constructor(parts: TransportParts, transfers?: Transfers) {
    this.transport = createTransport(parts);
    this.transfers = transfers;
  }

  /** Log of one download, which also counts into the client's log. */
  newLog(): MetricsLog {
    return new MetricsLog(this.transport.http.log);
  }

  /** True if this file's bytes come from a CAS. */
  overXet(file: ResolvedFile): file is CasFile {
    return this.transport.xet && file.xetHash !== undefined;
  }

  /** One read as its caller wants it. */
  read<F extends ResolvedFile>(file: F, range: ByteRange, options: ReadOptions): Read<F> {
    const { http } = this.transport;
    const { signal, log = http.log, policy = 'any', report = {} } = options;
    return { file, range, signal, policy, report, http: http.with(log) };
  }

  /**
   * The way to what is missing after Xet has failed. Throws the error again where neither way helps: plain HTTP is for
   * when some host answers and Xet is what failed, not for when the network is away.
   *
   * @param progressed true if Xet gave anything since it was last begun
   */
  async wayOn({ file, signal, http }: Read<CasFile>, error: unknown, progressed: boolean): Promise<'xet' | 'plain'> {
    const { hub, fallback, casVersions, onWarning } = this.transport;
    // Corrupt data is reported, not smoothed over, and a server that asks for patience gets it.
    const final = ['INTEGRITY', 'RATE_LIMITED', 'CLOSED', 'INVALID_ARGUMENT', ...DISK_CODES];
    // Only the Xet hash of a file in a bucket is known, and plain HTTP cannot be checked by it.
    const canFallBack = fallback && file.repo.type !== 'bucket';
    if (!canFallBack || signal.aborted || !isXetError(error) || final.includes(error.code)) throw error;
    if (isOutage(error)) {
      const once = http.once();
      if (!(await answers(hub.resolve(file.repo, file.commit, file.path, { signal, http: once })))) throw error;
      const cas = new CasClient(once, hub.tokens(file.tokenUrl), casVersions);
      const first = { start: 0, end: 1 };
      // The network is back, and with it the CAS.
      if (progressed && (await answers(cas.reconstruction(file.xetHash, first, signal)))) return 'xet';
      signal.throwIfAborted();
    }
    const reason = error.message.replace(/\.$/, '');
    onWarning(`'${file.path}' is not available over Xet (${reason}); fetching it over plain HTTP.`);
    return 'plain';
  }

  /** Prepares a read over Xet. */
  async begin(read: Read<CasFile>, options: ReadingOptions): Promise<Reading> {
    const { transport } = this;
    const { hub, pool, budget, together, rules, windowBytes = WINDOW_BYTES } = transport;
    const { file, range, signal, policy, http, report } = read;
    const { xetHash: fileHash } = file;
    const { keep, maxHeldBytes = budget.limitBytes / 8, sections, wholeChunks, ahead } = options;
    const caches = policy === 'any' ? transport.caches : undefined;
    const refetch = policy === 'refetch';
    // What was known led to corrupt data, or it would not have to be read afresh. The hash of a whole file tells what
    // is right without it; a part of one has nothing else to be checked by.
    const doubtful = refetch && isWhole(read);
    if (doubtful) await transport.caches?.forget(fileHash);
    const planner = new WindowPlanner({
      cas: new CasClient(http, hub.tokens(file.tokenUrl), transport.casVersions),
      fileHash,
      fileSize: file.size,
      range,
      windowBytes,
      plan: {
        maxHeldBytes,
        group: together !== undefined,
        allAtOnce: (url) => together !== undefined && rules.of(url) === 'all ranges at once',
      },
      caches,
      sections: refetch ? undefined : sections,
      ahead: refetch ? undefined : ahead,
      wholeChunks: keep && wholeChunks,
      // A worker takes longer to start than a CAS to answer.
      onAsk: (bytes) => pool.expect(bytes),
      signal,
    });
    const context = {
      transport,
      read,
      starts: new FrameStarts(),
      // Also of what is had elsewhere, as it turned out not to be here.
      isRight: doubtful ? undefined : await transport.caches?.checkFor(fileHash),
      onRun: keep ? caches && ((xorb: string, run: ChunkRun) => caches.keepChunks(xorb, run)) : undefined,
    };
    const running = {
      signal,
      kept:
        keep && caches?.stores.chunks
          ? ({ term, at, skip, length }: Piece) =>
              caches.findLocalParts(fileHash, [{ ...term, at: at - skip }], [{ start: at, end: at + length }], signal)
          : undefined,
      onLocal: (bytes: number) => {
        http.log.add('cache', bytes);
        report.cached?.(bytes);
      },
      elsewhere: (rest: ByteRange) => this.#elsewhere(read, rest),
    };
    return new Reading(planner, context, running);
  }

  /** Throws `INTEGRITY` unless these chunks give the file hash; keeps how the file is built. */
  async seal(file: CasFile, records: ChunkRecords, terms: readonly Term[]): Promise<void> {
    const { xetHash: expected } = file;
    const actual = hashToHex(await this.transport.pool.fileHash(records.slice()));
    if (actual === expected) {
      if (terms.length > 0) await this.transport.caches?.keepRecipe(expected, file.size, terms, records);
      return;
    }
    // What a read left in the cache may be the very thing that is wrong.
    const { caches } = this.transport;
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
  async *#elsewhere(read: Read<CasFile>, range: ByteRange): AsyncGenerator<FileSpan, void, undefined> {
    const policy = read.policy === 'any' ? 'network' : read.policy;
    yield* (await this.begin({ ...read, range, policy }, { keep: false })).stream([], () => 1);
  }
}

/** True if a request reaches a server, whatever that says. */
const answers = (request: Promise<unknown>): Promise<boolean> =>
  request.then(
    () => true,
    (error: unknown) => isXetError(error) && !isOutage(error),
  );

/** Failures to write: no other way to fetch helps. */
const DISK_CODES = ['DISK_FULL', 'PERMISSION', 'CACHE', 'QUOTA'];
