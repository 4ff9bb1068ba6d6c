export type {
  DownloadFileOptions,
  DownloadResult,
  FileTarget,
  ListOptions,
} from './client.ts';
export { DEFAULT_ENDPOINT } from './client.ts';
export type { Verified } from './download/content-hash.ts';
export type { XetFile } from './download/xet-file.ts';
export { isXetError, XetError, type XetErrorCode, type XetErrorDetails } from './errors.ts';
export type { Fetch, RetryNotice, Timeouts } from './http/http.ts';
export type { UrlKind } from './http/response-error.ts';
export type { RetryPolicy } from './http/retry-timing.ts';
export type { FileInfo, ListEntry } from './hub/client.ts';
export type { RepoDesignation, RepoId, RepoLocation, RepoType } from './hub/repo.ts';
export { parseLocation, parseRepo } from './hub/repo.ts';
export type { Metrics } from './metrics.ts';
export type { XetClientOptions } from './options.ts';
export type { OnProgress, Progress } from './progress.ts';
export type { ByteRange } from './ranges.ts';
