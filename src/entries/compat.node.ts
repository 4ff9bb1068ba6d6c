/**
 * `xetkit/compat`: the calls of `@huggingface/hub` that have to do with files, made by xetkit, for Node, Deno and Bun.
 * What each of them does is said in the entry for browsers.
 * @module
 */
import { scanCacheDir as scanFolder, scanCachedRepo as scanRepo } from '../compat/cache-scan.node.ts';
import * as calls from '../compat/calls.ts';
import type { FileSystemCalls } from '../compat/file-system.ts';
import * as files from '../compat/files.node.ts';
import { nodeCompat } from '../compat/platform.node.ts';
import { routed } from '../compat/route.ts';
import { hubCacheDir } from '../fs/env-folders.node.ts';

export * from '../compat/exports.ts';
export { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';

export const downloadFile = calls.downloadFileBy(nodeCompat);
export const fileDownloadInfo = calls.fileDownloadInfoBy(nodeCompat);
export const listFiles = calls.listFilesBy(nodeCompat);
export const pathsInfo = calls.pathsInfoBy(nodeCompat);
export const fileExists = calls.fileExistsBy(nodeCompat);
export const uploadFile = calls.uploadFileBy(nodeCompat);
export const uploadFiles = calls.uploadFilesBy(nodeCompat);
export const uploadFilesWithProgress = calls.uploadFilesWithProgressBy(nodeCompat);
export const commit = calls.commitBy(nodeCompat);
export const deleteFile = calls.deleteFileBy(nodeCompat);
export const deleteFiles = calls.deleteFilesBy(nodeCompat);
export const createRepo = calls.createRepoBy(nodeCompat);
export const deleteRepo = calls.deleteRepoBy(nodeCompat);
/** Makes a branch at a revision. */
export const createBranch = calls.createBranchBy(nodeCompat);
/** Removes a branch; its commits stay until nothing leads to them. */
export const deleteBranch = calls.deleteBranchBy(nodeCompat);
export const repoExists = calls.repoExistsBy(nodeCompat);
export const checkRepoAccess = calls.checkRepoAccessBy(nodeCompat);
export const whoAmI = calls.whoAmIBy(nodeCompat);
export const listCommits = calls.listCommitsBy(nodeCompat);

export const downloadFileToCacheDir: FileSystemCalls['downloadFileToCacheDir'] = routed(
  nodeCompat,
  'downloadFileToCacheDir',
  { withoutXet: 'by-xetkit' },
  files.downloadFileToCacheDir,
);
export const snapshotDownload: FileSystemCalls['snapshotDownload'] = routed(
  nodeCompat,
  'snapshotDownload',
  { withoutXet: 'by-xetkit', fits: files.inHubWordsOnly },
  files.snapshotDownload,
);
export const hfHubDownload: FileSystemCalls['hfHubDownload'] = routed(
  nodeCompat,
  'hfHubDownload',
  // The original has no such call.
  { withoutXet: 'by-xetkit', fits: () => false },
  files.hfHubDownload,
);
export const scanCacheDir: FileSystemCalls['scanCacheDir'] = routed(
  nodeCompat,
  'scanCacheDir',
  { withoutXet: 'as-it-is' },
  (_platform, cacheDir) => scanFolder(cacheDir),
);
export const scanCachedRepo: FileSystemCalls['scanCachedRepo'] = routed(
  nodeCompat,
  'scanCachedRepo',
  { withoutXet: 'as-it-is' },
  (_platform, repoPath) => scanRepo(repoPath),
);
export const getHFHubCachePath: FileSystemCalls['getHFHubCachePath'] = () => hubCacheDir();
