import { type DownloadFileParams, downloadFile } from './download-file.ts';
import { fileDownloadInfo } from './file-info.ts';
import { fileExists, listFiles, type PathsInfoParams, pathsInfo } from './listing.ts';
import {
  checkRepoAccess,
  createBranch,
  createRepo,
  deleteBranch,
  deleteRepo,
  listCommits,
  repoExists,
  whoAmI,
} from './manage.ts';
import type { CompatPlatform } from './platform.ts';
import { eachWithFallback, withFallback } from './route.ts';
import type { ExpandedPathInfo, PathInfo } from './types.ts';
import {
  type CommitParams,
  commit,
  deleteFile,
  deleteFiles,
  type UploadFileParams,
  type UploadFilesParams,
  uploadFile,
  uploadFiles,
  uploadFilesWithProgress,
} from './uploads.ts';

// Every call by itself, with its way to the original package: a page carries only those that it uses.

/** Nothing in these calls is Xet. */
const asItIs = { withoutXet: 'as-it-is' } as const;
const noXetRead = <P extends { xet?: unknown }>(params: P): P => ({ ...params, xet: false });
const noXetUpload = <P extends { useXet?: boolean }>(params: P): P => ({ ...params, useXet: false });

export const downloadFileBy = (platform: CompatPlatform) =>
  withFallback(platform, 'downloadFile', { withoutXet: noXetRead<DownloadFileParams> }, downloadFile);
export const fileDownloadInfoBy = (platform: CompatPlatform) =>
  withFallback(platform, 'fileDownloadInfo', asItIs, fileDownloadInfo);
export const listFilesBy = (platform: CompatPlatform) => eachWithFallback(platform, 'listFiles', asItIs, listFiles);
export const fileExistsBy = (platform: CompatPlatform) => withFallback(platform, 'fileExists', asItIs, fileExists);

/** With `expand: true` the last commit is there for sure. */
export interface PathsInfo {
  (params: PathsInfoParams & { expand: true }): Promise<ExpandedPathInfo[]>;
  (params: PathsInfoParams): Promise<PathInfo[]>;
}
export const pathsInfoBy = (platform: CompatPlatform): PathsInfo =>
  withFallback(platform, 'pathsInfo', asItIs, pathsInfo);

export const uploadFileBy = (platform: CompatPlatform) =>
  withFallback(platform, 'uploadFile', { withoutXet: noXetUpload<UploadFileParams> }, uploadFile);
export const uploadFilesBy = (platform: CompatPlatform) =>
  withFallback(platform, 'uploadFiles', { withoutXet: noXetUpload<UploadFilesParams> }, uploadFiles);
export const uploadFilesWithProgressBy = (platform: CompatPlatform) =>
  eachWithFallback(
    platform,
    'uploadFilesWithProgress',
    { withoutXet: noXetUpload<UploadFilesParams> },
    uploadFilesWithProgress,
  );
export const commitBy = (platform: CompatPlatform) =>
  withFallback(platform, 'commit', { withoutXet: noXetUpload<CommitParams> }, commit);
export const deleteFileBy = (platform: CompatPlatform) => withFallback(platform, 'deleteFile', asItIs, deleteFile);
export const deleteFilesBy = (platform: CompatPlatform) => withFallback(platform, 'deleteFiles', asItIs, deleteFiles);

export const createRepoBy = (platform: CompatPlatform) => withFallback(platform, 'createRepo', asItIs, createRepo);
export const deleteRepoBy = (platform: CompatPlatform) => withFallback(platform, 'deleteRepo', asItIs, deleteRepo);
export const createBranchBy = (platform: CompatPlatform) =>
  withFallback(platform, 'createBranch', asItIs, createBranch);
export const deleteBranchBy = (platform: CompatPlatform) =>
  withFallback(platform, 'deleteBranch', asItIs, deleteBranch);
export const repoExistsBy = (platform: CompatPlatform) => withFallback(platform, 'repoExists', asItIs, repoExists);
export const checkRepoAccessBy = (platform: CompatPlatform) =>
  withFallback(platform, 'checkRepoAccess', asItIs, checkRepoAccess);
export const whoAmIBy = (platform: CompatPlatform) => withFallback(platform, 'whoAmI', asItIs, whoAmI);
export const listCommitsBy = (platform: CompatPlatform) =>
  eachWithFallback(platform, 'listCommits', asItIs, listCommits);
