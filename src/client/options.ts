import type { CacheFactory, CacheOptions } from '../cache/cache-settings.ts';
import type { CodecFactory } from '../codec/codec-factory.ts';
import { CACHE_PLACE, CHUNK_CACHE, checked, RETRY, TIMEOUTS } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { UrlKind } from '../core/metrics.ts';
import type { RetryPolicy } from '../http/retry-timing.ts';
import type { Fetch, RetryNotice, Timeouts, TransportName } from '../http/types.ts';
import type { UploadBackend } from '../upload/upload-backend.ts';
import type { FileBackend } from './file-backend.ts';

export type { CacheFactory, CodecFactory };

/** Default endpoint. */
export const DEFAULT_ENDPOINT = 'https://huggingface.co';

/** Options of `XetClient`; all optional. */
export interface XetClientOptions extends CacheOptions {
  /** URL of the Hub. Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string | URL;
  /**
   * Hub token, or a function that returns it. Sent only to the Hub. Default in Node, Deno and Bun: `HF_TOKEN`, then the token
   * file; in browsers none.
   */
  accessToken?: string | (() => string | undefined | Promise<string | undefined>);
  /** Custom `fetch` for every request: Hub, CAS and signed URLs. */
  fetch?: Fetch;
  /**
   * HTTP client in Node: `'own'` is xetkit's HTTP/1.1 client, `'platform'` the global `fetch`, which is also used if the process
   * has replaced `fetch` or set a dispatcher for undici. Default: `XETKIT_HTTP`, else `'own'`. Pages, Deno and Bun always use `fetch`.
   */
  transport?: TransportName;
  /** Rewrites every URL before it is requested, including redirect targets where they are visible; for mirrors and proxies. */
  rewriteUrl?: (url: string, kind: UrlKind) => string;
  /** Hub cache folder (Node, Deno, Bun). Default: `HF_HUB_CACHE`, else `hub` in `HF_HOME`. Browsers have none. */
  cacheDir?: string;
  /**
   * Storage for `downloadFile` and `snapshot`. Default: the file system in Node, Deno and Bun, none in pages.
   * `opfsFiles` is the origin private file system (OPFS), in which `localDir` names a folder.
   */
  files?: FileBackend;
  /**
   * Implementation of uploads, repositories and branches. Default: built in for Node, Deno and Bun; pages pass
   * `webUploads`, so pages that only read stay small.
   */
  uploads?: UploadBackend;
  /** Never contact a server: files not on this machine reject with `OFFLINE`. Default: `HF_HUB_OFFLINE`. */
  offline?: boolean;
  /**
   * Hard limit for data in flight and decoded, in bytes; at least 16 MiB. Default: an eighth of the machine's memory, between
   * 32 and 256 MiB; 96 MiB in pages.
   */
  memoryBudget?: number;
  /**
   * Writes files from start to end, for spinning disks and network drives. A killed download then loses what was decoded
   * ahead. Default: false, each part is written as soon as it is decoded.
   */
  sequentialWrites?: boolean;
  /** Concurrent data requests over all files, 1 or more. Default: `'auto'`, which adapts between 1 and 32. */
  concurrency?: number | 'auto';
  /**
   * Number of codec workers, 0 or more; 0 decodes on the calling thread and starts no disk thread. Default: `'auto'`, one fewer than
   * processors, 1 to 4.
   */
  workers?: number | 'auto';
  /**
   * Number of workers that download to files on their own (Node): they request, decode and write, so that content does not pass
   * through the calling thread. Not used with `fetch`, `rewriteUrl`, `transport: 'platform'` or `workers: 0`. Experimental. Default: 0.
   */
  transferWorkers?: number;
  /**
   * Fallback if Xet cannot serve a file: `'http'` continues over plain HTTP, verified by sha256; `'never'` fails.
   * Default: `'http'`. Corrupt data never falls back.
   */
  fallback?: 'http' | 'never';
  /** False downloads every file over plain HTTP. Default: true, unless `HF_HUB_DISABLE_XET` is set. */
  xet?: boolean;
  /** Retry policy. Default: 6 attempts in total, with delays of 0.5 to 20 s. */
  retry?: Partial<RetryPolicy>;
  /** `connectMs`: until a response begins; `stallMs`: without a byte of it. Default: 20,000 each. */
  timeouts?: Partial<Timeouts>;
  /** Called before each retry, with its reason. */
  onRetry?: (notice: RetryNotice) => void;
  /** Called once per degraded feature (no workers, no cache, …). */
  onWarning?: (message: string) => void;
}

/**
 * Options of {@link XetReader}; all optional. Optional parts are passed in, so pages that omit them do not bundle them.
 */
export interface XetReaderOptions
  extends Omit<XetClientOptions, 'files' | 'uploads' | 'sequentialWrites' | 'transferWorkers'> {
  /** Remembers chunks and how files are built, as a `XetClient` does: `xetCaches`. Default: nothing is remembered. */
  caches?: CacheFactory;
  /**
   * Decodes where no worker can be started, as in a service worker: `threadCodec`. Default in pages: none, so that files come over
   * plain HTTP there, or are `UNSUPPORTED` with `fallback: 'never'`.
   */
  codec?: CodecFactory;
}

const MIB = 1024 * 1024;

const isAddress = (text: string) => /^https?:\/\/[^/?#\s"'\\]+(?:\/[^?#\s"'\\]*)?$/i.test(text) && URL.canParse(text);

/** The address of a Hub as it was given. Throws `INVALID_ARGUMENT`, naming the option or variable, for what is none. */
export function checkEndpoint(text: string, name: string): string {
  if (isAddress(text)) return text;
  const bare = text.replace(/^["'\s]+|["'\s]+$/g, '');
  const meant = bare.includes('://') ? bare : `${/:\d|^localhost/i.test(bare) ? 'http' : 'https'}://${bare}`;
  const shown = (address: string) => address.replace(/^([^/]*\/\/)?.*@/s, '$1').replace(/\/+$/, '');
  throw new XetError(
    'INVALID_ARGUMENT',
    `${name} is not the address of a Hub: ${JSON.stringify(shown(text))}. ` +
      `Write ${isAddress(meant) ? shown(meant) : 'it as in https://huggingface.co'}.`,
  );
}

/** An empty name is a variable that was never set; as a path it would be the working folder. */
export function checkFolder(folder: string | undefined, name: string): void {
  if (folder === '') throw new XetError('INVALID_ARGUMENT', `${name} is empty. Name a folder, or leave it out.`);
}

const CACHES = [
  ['chunkCache', CHUNK_CACHE],
  ['recipes', CACHE_PLACE],
  ['verifiedFiles', CACHE_PLACE],
] as const;

/** The options of a client that are given, described by `table`. Throws `INVALID_ARGUMENT` for what no client can use. */
export function checkOptions<T extends XetClientOptions>(call: string, given: T, table: string): T {
  const options = checked(call, given, table);
  const { endpoint, memoryBudget, concurrency, workers, transferWorkers } = options;
  if (options.retry) options.retry = checked('retry', options.retry, RETRY);
  if (options.timeouts) options.timeouts = checked('timeouts', options.timeouts, TIMEOUTS);
  for (const [name, table] of CACHES) {
    const { [name]: place = false } = options;
    if (place === false) continue;
    options[name] = checked<{ dir?: string }>(name, place, table);
    checkFolder(place.dir, `${name}.dir`);
  }
  const invalid = (text: string) => new XetError('INVALID_ARGUMENT', text);
  if (endpoint !== undefined) checkEndpoint(String(endpoint), 'endpoint');
  if (memoryBudget !== undefined && !(memoryBudget >= 16 * MIB))
    throw invalid(`memoryBudget is at least ${16 * MIB} bytes (16 MiB), not ${memoryBudget}`);
  checkFolder(options.cacheDir, 'cacheDir');
  const counts = [
    ['concurrency', concurrency, 1],
    ['workers', workers, 0],
    ['transferWorkers', transferWorkers, 0],
  ] as const;
  for (const [name, value = 'auto', least] of counts) {
    if (value !== 'auto' && !(Number.isInteger(value) && value >= least))
      throw invalid(`${name} is 'auto' or a whole number from ${least} on, not ${value}`);
  }
  return options;
}
