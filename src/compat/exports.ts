// What both entries export beside the calls themselves.

export { DEFAULT_REVISION } from '../hub/repo.ts';
export type { PathsInfo } from './calls.ts';
export type { CommitProgressEvent } from './commit-events.ts';
export { HUB_URL } from './compat-http.ts';
export type { DownloadFileParams } from './download-file.ts';
export { HubApiError, InvalidApiResponseFormatError } from './errors.ts';
export type { FileDownloadInfoParams } from './file-info.ts';
export {
  type DownloadToCacheParams,
  getRepoFolderName,
  type HfHubDownloadParams,
  type Patterns,
  type PythonParams,
  type PythonSnapshotParams,
  parseRepoType,
  REGEX_COMMIT_HASH,
  REPO_ID_SEPARATOR,
  type SnapshotParams,
} from './file-system.ts';
export type { FileExistsParams, ListFilesParams, PathsInfoParams } from './listing.ts';
export type {
  AuthInfo,
  CommitData,
  CreateBranchParams,
  CreateRepoParams,
  DeleteBranchParams,
  ListCommitsParams,
  RepoExistsParams,
  SpaceSdk,
  WhoAmI,
  WhoAmIApp,
  WhoAmIOrg,
  WhoAmIUser,
} from './manage.ts';
export { useOriginal } from './original.ts';
export type * from './types.ts';
export type {
  CompatRepoDesignation as RepoDesignation,
  CompatRepoId as RepoId,
  CompatRepoType as RepoType,
} from './types.ts';
export type {
  CommitDeletedEntry,
  CommitEditFile,
  CommitEditFileParams,
  CommitFile,
  CommitOperation,
  CommitOutput,
  CommitParams,
  ContentSource,
  DeleteFileParams,
  DeleteFilesParams,
  UploadFileParams,
  UploadFilesParams,
  UploadSource,
} from './uploads.ts';
