export type { CacheOptions, ChunkCacheOptions, RecipeOptions, VerifiedFileOptions } from '../cache/cache-settings.ts';
export type { FileBackend } from '../client/file-backend.ts';
export { opfsFiles } from '../client/opfs-files.ts';
export type { CacheFactory, CodecFactory, XetClientOptions } from '../client/options.ts';
export { DEFAULT_ENDPOINT } from '../client/options.ts';
export type { DownloadFileOptions, FileTarget, ListOptions, OpenTarget } from '../client/types.ts';
export type { Verified } from '../core/content-hash.ts';
export { isXetError, XetError, type XetErrorCode, type XetErrorDetails } from '../core/errors.ts';
export type { Metrics, UrlKind } from '../core/metrics.ts';
export type { OnProgress, Progress } from '../core/progress.ts';
export type { ByteRange } from '../core/ranges.ts';
export type { DownloadResult } from '../download/file.ts';
export type { WritableFile } from '../files/opfs/picked-place.ts';
export type { RetryPolicy } from '../http/retry-timing.ts';
export type { Fetch, RetryNotice, Timeouts, TransportName } from '../http/types.ts';
export type { FileInfo } from '../hub/client.ts';
export type { RepoLocation } from '../hub/repo.ts';
export { parseLocation, parseRepo } from '../hub/repo.ts';
export type { ListEntry, RepoDesignation, RepoId, RepoType } from '../hub/types.ts';
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
  VerifyCacheOptions,
  VerifyReport,
  XetkitCacheUsage,
} from '../manage/types.ts';
export { type SaveOptions, type SaveResult, type SaveTarget, saveFile } from '../read/save-file.ts';
export type { XetFile } from '../read/xet-file.ts';
export type {
  LeftOutFile,
  SnapshotFile,
  SnapshotOptions,
  SnapshotPreview,
  SnapshotPreviewFile,
  SnapshotResult,
  SnapshotSelection,
  SnapshotTotals,
} from '../snapshot/snapshot.ts';
export type { AppendOptions, EditOptions, FileEdit } from '../upload/edit-types.ts';
export type { UploadContent, UploadFile, UploadItem, UploadItems } from '../upload/gather.ts';
export type {
  CreateBranchOptions,
  CreateRepoOptions,
  CreateTagOptions,
  DeleteBranchOptions,
  DeleteFilesOptions,
  DeleteRepoOptions,
  DeleteTagOptions,
  MoveRepoOptions,
  UpdateRepoOptions,
  UploadBackend,
} from '../upload/upload-backend.ts';
export type { UploadCommit, UploadedFileInfo, UploadOptions, UploadResult } from '../upload/upload-types.ts';
export { webUploads } from '../upload/web-uploads.ts';
