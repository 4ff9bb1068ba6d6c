import { CodecPool } from '../workers/pool.ts';
import { MemoryBudget } from './download/budget.ts';
import type { Verified } from './download/content-hash.ts';
import { DownloadEngine } from './download/engine.ts';
import { downloadTo } from './download/file.ts';
import { Lanes } from './download/lanes.ts';
import { XetFile } from './download/xet-file.ts';
import { XetError } from './errors.ts';
import { DEFAULT_TIMEOUTS, Http } from './http/http.ts';
import { DEFAULT_RETRY } from './http/retry-timing.ts';
import { type FileInfo, HubClient, type ListEntry, type ResolvedFile } from './hub/client.ts';
import { checkPath, DEFAULT_REVISION, parseRepo, type RepoDesignation } from './hub/repo.ts';
import { type Metrics, MetricsLog } from './metrics.ts';
import type { XetClientOptions } from './options.ts';
import type { Platform } from './platform.ts';
import type { OnProgress } from './progress.ts';

export const DEFAULT_ENDPOINT = 'https://huggingface.co';
const MIB = 1024 * 1024;

/** One file of a repository. */
export interface FileTarget {
  repo: RepoDesignation;
  /** Path in the repository. */
  path: string;
  /** Branch, tag or commit. Default: `main`. */
  revision?: string;
  signal?: AbortSignal;
}

export interface ListOptions {
  repo: RepoDesignation;
  revision?: string;
  /** Folder to list. Default: the root. */
  path?: string;
  /** With everything below. Default: false. */
  recursive?: boolean;
  signal?: AbortSignal;
}

export interface DownloadFileOptions extends FileTarget {
  /** Folder that mirrors the repository. Default: the Hub cache folder. */
  localDir?: string;
  /** Downloads again what is already there. Default: false. */
  force?: boolean;
  onProgress?: OnProgress;
}

export interface DownloadResult {
  path: string;
  size: number;
  etag: string;
  commit: string;
  xetHash: string | undefined;
  /** How the whole content was checked; there is no success without. */
  verified: Verified;
  /** Bytes that came over the network, and content bytes that were already on this machine. */
  bytes: { network: number; cache: number; local: number };
  /** Requests made for this file. Tokens, which files share, are not among them. */
  requests: number;
  seconds: number;
}

/** Moves files from Hugging Face repositories over the Xet protocol. One client shares one memory budget. */
export class BaseXetClient {
  readonly #options: XetClientOptions;
  readonly #platform: Platform;
  readonly #http: Http;
  readonly #hub: HubClient;
  readonly #pool: CodecPool;
  readonly #budget: MemoryBudget;
  readonly #lanes: Lanes;
  readonly #engine: DownloadEngine;
  readonly #closing = new AbortController();
  readonly #warn = (message: string) => this.#options.onWarning?.(message);

  constructor(options: XetClientOptions, platform: Platform) {
    checkOptions(options);
    this.#options = options;
    this.#platform = platform;
    const retry = { ...DEFAULT_RETRY, ...options.retry };
    this.#http = new Http({
      fetch: options.fetch ?? platform.fetch,
      rewriteUrl: options.rewriteUrl,
      timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
      retry,
      onRetry: options.onRetry,
    });
    this.#hub = new HubClient(this.#http, {
      endpoint: options.endpoint ?? platform.defaultEndpoint() ?? DEFAULT_ENDPOINT,
      accessToken: async () => {
        const { accessToken } = options;
        if (accessToken === undefined) return platform.defaultToken();
        return typeof accessToken === 'function' ? accessToken() : accessToken;
      },
    });
    const workers = options.workers ?? 'auto';
    this.#pool = new CodecPool({
      spawn: platform.spawnWorker,
      size: workers === 'auto' ? Math.max(1, Math.min(4, platform.processors)) : workers,
      load: platform.loadCodec,
      onWarning: options.onWarning,
    });
    const limit = options.memoryBudget ?? platform.memoryBudgetBytes;
    this.#budget = new MemoryBudget(limit, limit / 4);
    const lanes = new Lanes(options.concurrency ?? 'auto');
    this.#lanes = lanes;
    this.#engine = new DownloadEngine({
      http: this.#http,
      hub: this.#hub,
      pool: this.#pool,
      budget: this.#budget,
      lanes,
      makeHash: platform.makeContentHash,
      attempts: retry.attempts,
      groupRanges: platform.multiRange,
      xet: options.xet ?? !platform.xetDisabled(),
      fallback: options.fallback !== 'never',
      onWarning: this.#warn,
    });
  }

  /** The Hub in use, without a slash at its end. */
  get endpoint(): string {
    return this.#hub.endpoint;
  }

  /** What a path at a revision stands for. */
  async fileInfo(target: FileTarget): Promise<FileInfo> {
    const { path, size, etag, commit, xetHash } = await this.#resolve(target, this.#signal(target.signal));
    return { path, size, etag, commit, xetHash };
  }

  /** Files and folders of a repository. */
  listFiles(options: ListOptions): AsyncGenerator<ListEntry, void, undefined> {
    const { path, recursive, revision = DEFAULT_REVISION } = options;
    return this.#hub.list(parseRepo(options.repo), revision, {
      path: path === undefined ? undefined : checkPath(path),
      recursive,
      signal: this.#signal(options.signal),
    });
  }

  /** Fetches a file into a folder, or into the Hub cache folder. It has its name only once it is verified. */
  async downloadFile(options: DownloadFileOptions): Promise<DownloadResult> {
    const { places } = this.#platform;
    if (!places) {
      throw new XetError('UNSUPPORTED', 'There is no file system here; use open() and read or stream the file.');
    }
    const signal = this.#signal(options.signal);
    const started = performance.now();
    const log = new MetricsLog(this.#http.log);
    const file = await this.#resolve(options, signal, log);
    const place = places(file, {
      localDir: options.localDir,
      cacheDir: this.#options.cacheDir,
      revision: options.revision ?? DEFAULT_REVISION,
    });
    const outcome = await downloadTo(this.#engine, file, place, {
      signal,
      force: options.force ?? false,
      onProgress: options.onProgress,
      onWarning: this.#warn,
      log,
    });
    const { size, etag, commit, xetHash } = file;
    return {
      ...outcome,
      size,
      etag,
      commit,
      xetHash,
      requests: log.totalRequests,
      seconds: (performance.now() - started) / 1000,
    };
  }

  /** Opens a file for reading, whole or in ranges, without keeping it. */
  async open(target: FileTarget): Promise<XetFile> {
    const signal = this.#signal(target.signal);
    const file = await this.#resolve(target, signal);
    return new XetFile(this.#engine, file, signal);
  }

  /** What this client has done so far. */
  metrics(): Metrics {
    const { requests, retries, bytes, seconds } = this.#http.log;
    const { limitBytes, usedBytes, peakBytes } = this.#budget;
    const { sent, here, lost } = this.#pool.counts;
    return {
      requests: { ...requests },
      retries: { ...retries },
      bytes: { ...bytes },
      memory: { limitBytes, usedNowBytes: usedBytes, peakBytes },
      concurrency: { limitNow: this.#lanes.limit, now: this.#lanes.used, peak: this.#lanes.peak },
      codec: { inWorkers: sent, onThread: here, workersLost: lost },
      seconds: { ...seconds },
    };
  }

  /** Stops what is under way and ends the workers. The client is of no use afterwards. */
  async close(): Promise<void> {
    this.#closing.abort(new XetError('CLOSED', 'The client was closed.'));
    this.#pool.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #resolve(target: FileTarget, signal: AbortSignal, log: MetricsLog = this.#http.log): Promise<ResolvedFile> {
    const { repo, revision = DEFAULT_REVISION, path } = target;
    return log.timed('resolving', () =>
      this.#hub.resolve(parseRepo(repo), revision, checkPath(path), signal, this.#http.with(log)),
    );
  }

  /** The caller's abort, and the client's end. */
  #signal(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
  }
}

function checkOptions({ endpoint, memoryBudget, concurrency, workers }: XetClientOptions): void {
  const invalid = (text: string) => new XetError('INVALID_ARGUMENT', text);
  if (endpoint !== undefined && !/^https?:\/\//.test(endpoint))
    throw invalid(`endpoint is no http(s) address: '${endpoint}'`);
  if (memoryBudget !== undefined && !(memoryBudget >= 16 * MIB))
    throw invalid(`memoryBudget is at least ${16 * MIB} bytes, not ${memoryBudget}`);
  const counts = { concurrency: { value: concurrency, least: 1 }, workers: { value: workers, least: 0 } };
  for (const [name, { value, least }] of Object.entries(counts)) {
    if (value === undefined || value === 'auto') continue;
    if (!Number.isInteger(value) || value < least)
      throw invalid(`${name} is 'auto' or a whole number from ${least} on, not ${value}`);
  }
}
