export type {
  CacheControl,
  CacheProblem,
  CacheTarget,
  CacheUsage,
  CheckedBlob,
  PlannedRemoval,
  PruneCacheOptions,
  RemovalKind,
  RemovalReport,
  RemoveCachedOptions,
  RepoUsage,
  RevisionUsage,
  TierUsage,
  VerifyCacheOptions,
  VerifyReport,
} from './cache/cache-control.ts';
export type { ChunkCacheOptions } from './cache/open-tiers.ts';
export type {
  DownloadFileOptions,
  DownloadResult,
  FileTarget,
  ListOptions,
  OpenTarget,
} from './client-types.ts';
export type { Verified } from './download/content-hash.ts';
export type { XetFile } from './download/xet-file.ts';
export { isXetError, XetError, type XetErrorCode, type XetErrorDetails } from './errors.ts';
export {
  type GgufArray,
  type GgufHeader,
  type GgufTensor,
  type GgufValue,
  type ReadGgufOptions,
  readGgufHeader,
} from './formats/gguf.ts';
export { readSafetensors, type Safetensors, type SafetensorsTensor, type TensorData } from './formats/safetensors.ts';
export type { ByteSource, ReadFormatOptions } from './formats/source.ts';
export type { Fetch, RetryNotice, Timeouts } from './http/http.ts';
export type { UrlKind } from './http/response-error.ts';
export type { RetryPolicy } from './http/retry-timing.ts';
export type { FileInfo } from './hub/client.ts';
export type { ListEntry } from './hub/entries.ts';
export type { RepoDesignation, RepoId, RepoLocation, RepoType } from './hub/repo.ts';
export { parseLocation, parseRepo } from './hub/repo.ts';
export type { Metrics } from './metrics.ts';
export type { CacheWork, CodecWork, XetClientOptions } from './options.ts';
export { DEFAULT_ENDPOINT } from './options.ts';
export type { OnProgress, Progress } from './progress.ts';
export type { ByteRange } from './ranges.ts';
export type { FileWork } from './repo/file-work.ts';
export type {
  LeftOutFile,
  SnapshotFile,
  SnapshotOptions,
  SnapshotPreview,
  SnapshotPreviewFile,
  SnapshotResult,
  SnapshotSelection,
  SnapshotTotals,
} from './repo/snapshot.ts';
export { opfsFiles } from './save/opfs-store.ts';
export type { WritableFile } from './save/picked-place.ts';
export { type SaveOptions, type SaveResult, type SaveTarget, saveFile } from './save/save-file.ts';
export type { UploadContent, UploadFile, UploadItem, UploadItems } from './upload/gather.ts';
export type { UploadCommit, UploadedFileInfo, UploadOptions, UploadResult } from './upload/upload-types.ts';
export type { CreateBranchOptions, CreateRepoOptions, DeleteFilesOptions, UploadWork } from './upload/upload-work.ts';
export { webUploads } from './upload/web-uploads.ts';
