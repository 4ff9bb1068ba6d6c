import type { XetReaderOptions } from '../client/options.ts';
import type { FetchClient } from '../fetch/token-clients.ts';
import type { XetFetchOptions } from '../fetch/xet-fetch.ts';

export type { CacheOptions, ChunkCacheOptions, RecipeOptions, VerifiedFileOptions } from '../cache/cache-settings.ts';
export type { CacheFactory, CodecFactory, XetReaderOptions } from '../client/options.ts';
export type { FileTarget, OpenTarget } from '../client/types.ts';
export { isXetError, XetError, type XetErrorCode, type XetErrorDetails } from '../core/errors.ts';
export type { UrlKind } from '../core/metrics.ts';
export type { FetchInput } from '../fetch/hub-request.ts';
export type { FetchClient } from '../fetch/token-clients.ts';
export type { FetchProgress, XetFetch } from '../fetch/xet-fetch.ts';
export type { RetryPolicy } from '../http/retry-timing.ts';
export type { Fetch, RetryNotice, Timeouts, TransportName } from '../http/types.ts';
export type { FileInfo } from '../hub/client.ts';
export type { RepoDesignation, RepoId, RepoType } from '../hub/types.ts';
export type { XetFile } from '../read/xet-file.ts';

/** As of `xetkit/fetch`, with options of a `XetReader` for the client that is to be made. */
export interface SmallXetFetchOptions extends Omit<XetFetchOptions, 'client'> {
  /** The client that answers, or what to make one of. */
  client?: FetchClient | XetReaderOptions;
}
