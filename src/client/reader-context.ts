import type { OpenLocalCaches } from '../cache/cache-settings.ts';
import type { LocalCaches } from '../cache/local-caches.ts';
import { CodecPool } from '../codec/pool.ts';
import { MemoryBudget } from '../core/budget.ts';
import { Lanes } from '../core/lanes.ts';
import { withoutSecrets } from '../core/secrets.ts';
import { DownloadEngine } from '../download/engine.ts';
import { DEFAULT_TIMEOUTS, Http } from '../http/http.ts';
import { DEFAULT_RETRY } from '../http/retry-timing.ts';
import type { HttpTimeouts } from '../http/types.ts';
import { HubClient } from '../hub/client.ts';
import { checkToken } from '../hub/credentials.ts';
import { DEFAULT_ENDPOINT, type XetClientOptions } from './options.ts';
import type { ReaderPlatform } from './platform.ts';

/** Objects shared by all downloads of a client. */
export interface ReaderContext<T extends LocalCaches | undefined = LocalCaches | undefined> {
  http: Http;
  hub: HubClient;
  pool: CodecPool;
  budget: MemoryBudget;
  lanes: Lanes;
  /** Files of a snapshot at once at most. */
  filesAtOnce: number;
  caches: T;
  engine: DownloadEngine;
  /** Attempts at a request. */
  attempts: number;
  /** True if no server may be contacted. */
  offline: boolean;
  onWarning: (message: string) => void;
}

/** Makes the parts of a client. Nothing is started, opened or asked before it is needed. */
export function createReaderContext<T extends LocalCaches | undefined>(
  options: XetClientOptions,
  platform: ReaderPlatform,
  openCaches: (settings: Parameters<OpenLocalCaches>[0]) => T,
): ReaderContext<T> {
  const { concurrency = 'auto', memoryBudget = platform.memoryBudgetBytes } = options;
  const most = platform.shares?.() ?? UNSHARED;
  const workers = Math.min(workersOf(options, platform), most.workers);
  // What servers said may be part of it.
  const onWarning = (message: string) => options.onWarning?.(withoutSecrets(message));
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  const endpoint = String(options.endpoint ?? platform.defaultEndpoint() ?? DEFAULT_ENDPOINT);
  const budget = new MemoryBudget(memoryBudget, memoryBudget / 4);
  const timeouts = timeoutsOf(options, platform);
  const encrypted = /^https:/i.test(endpoint);
  const http = new Http({
    memory: budget,
    encrypted,
    fetch: options.fetch ?? platform.fetchOf(options.transport),
    takesPieces: !options.fetch && platform.takesPieces,
    rewriteUrl: options.rewriteUrl,
    timeouts,
    retry,
    onRetry: options.onRetry,
  });
  const hub = new HubClient(http, {
    endpoint,
    accessToken: async () => {
      const { accessToken } = options;
      if (accessToken === undefined) return platform.defaultToken();
      return checkToken(typeof accessToken === 'function' ? await accessToken() : accessToken, 'accessToken');
    },
    onWarning,
  });
  const pool = new CodecPool({
    spawn: platform.spawnWorker,
    size: workers,
    load: platform.loadCodec,
    smallBytes: platform.decodeHereBytes,
    onWarning,
  });
  const filesAtOnce = Math.min(concurrency === 'auto' ? most.files : concurrency, most.files);
  const lanes = new Lanes(concurrency, undefined, most.lanes);
  const caches = openCaches({
    chunkCache: options.chunkCache,
    recipes: options.recipes,
    verifiedFiles: options.verifiedFiles,
    pool,
    spawnWorker: workers === 0 ? undefined : platform.spawnWorker,
    budget,
    onWarning,
  });
  // Functions of the caller's cannot be taken along to another thread.
  const here = workers === 0 || options.fetch || options.rewriteUrl;
  const { transferWorkers = 0 } = options;
  const size = Math.min(transferWorkers, most.workers);
  const transfers =
    here || size === 0
      ? undefined
      : platform.makeTransfers?.({ size, settings: { timeouts, retry, encrypted }, onWarning }, options.transport);
  const engine = new DownloadEngine(
    {
      http,
      hub,
      pool,
      budget,
      lanes,
      makeHash: platform.makeContentHash,
      attempts: retry.attempts,
      together: platform.fetchTogether,
      requestBytes: platform.requestBytes,
      xet: options.xet ?? !platform.xetDisabled(),
      fallback: options.fallback !== 'never',
      sequentialWrites: options.sequentialWrites,
      caches,
      onWarning,
    },
    transfers,
  );
  const offline = options.offline ?? platform.offline();
  return { http, hub, pool, budget, lanes, filesAtOnce, caches, engine, attempts: retry.attempts, offline, onWarning };
}

const UNSHARED = {
  workers: Number.POSITIVE_INFINITY,
  files: Number.POSITIVE_INFINITY,
  lanes: Number.POSITIVE_INFINITY,
};

const workersOf = ({ workers = 'auto' }: XetClientOptions, { processors }: ReaderPlatform) =>
  workers === 'auto' ? Math.max(1, Math.min(4, processors - 1)) : workers;

/** The caller's timeouts replace those of the environment as a whole. */
function timeoutsOf({ timeouts = {} }: XetClientOptions, platform: ReaderPlatform): HttpTimeouts {
  const { hubMs: hub, ...others } = platform.defaultTimeouts?.() ?? {};
  return {
    ...DEFAULT_TIMEOUTS,
    ...others,
    ...timeouts,
    ...(hub !== undefined && timeouts.connectMs === undefined && { hubMs: hub }),
  };
}
