/**
 * `xetkit/compat`: the calls of `@huggingface/hub` that have to do with files, made by xetkit.
 *
 * Parameters, results and errors are those of `@huggingface/hub` 2.17. What has no name there, such as corrupt data
 * (`INTEGRITY`) or a full disk, is a `XetError`.
 * @module
 */

import { compatPlatform } from '#compat/platform';
import { uploadPlatform } from '#compat/upload-platform';
import * as calls from '../compat/calls.ts';

export * from '../compat/exports.ts';
export { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';

/** A file as a `Blob` that is fetched when it is read, and verified; null where there is no such file. */
export const downloadFile = /* @__PURE__ */ calls.downloadFileBy(compatPlatform);
/** Size, entity tag and address of a file; null where there is none. */
export const fileDownloadInfo = /* @__PURE__ */ calls.fileDownloadInfoBy(compatPlatform);
/** Entries of a folder in a repository; everything below it with `recursive`. */
export const listFiles = /* @__PURE__ */ calls.listFilesBy(compatPlatform);
/** Entries of some paths; missing paths are omitted. */
export const pathsInfo = /* @__PURE__ */ calls.pathsInfoBy(compatPlatform);
/** True if the file exists. */
export const fileExists = /* @__PURE__ */ calls.fileExistsBy(compatPlatform);
/** One commit of one file. */
export const uploadFile = /* @__PURE__ */ calls.uploadFileBy(uploadPlatform);
/** One commit of files. */
export const uploadFiles = /* @__PURE__ */ calls.uploadFilesBy(uploadPlatform);
/** One commit of files, told of as it is made. */
export const uploadFilesWithProgress = /* @__PURE__ */ calls.uploadFilesWithProgressBy(uploadPlatform);
/** One commit of additions, edits and deletions. */
export const commit = /* @__PURE__ */ calls.commitBy(uploadPlatform);
/** One commit that removes a file. */
export const deleteFile = /* @__PURE__ */ calls.deleteFileBy(uploadPlatform);
/** One commit that removes files. */
export const deleteFiles = /* @__PURE__ */ calls.deleteFilesBy(uploadPlatform);
/** Makes a repository. */
export const createRepo = /* @__PURE__ */ calls.createRepoBy(compatPlatform);
/** Removes a repository and all that is in it. */
export const deleteRepo = /* @__PURE__ */ calls.deleteRepoBy(compatPlatform);
/** Makes a branch at a revision. */
export const createBranch = /* @__PURE__ */ calls.createBranchBy(compatPlatform);
/** Removes a branch; its commits stay until nothing leads to them. */
export const deleteBranch = /* @__PURE__ */ calls.deleteBranchBy(compatPlatform);
/** True if the repository exists and the caller may see it. */
export const repoExists = /* @__PURE__ */ calls.repoExistsBy(compatPlatform);
/** Throws a `HubApiError` if the repository cannot be read. */
export const checkRepoAccess = /* @__PURE__ */ calls.checkRepoAccessBy(compatPlatform);
/** The user or organization that owns the token. */
export const whoAmI = /* @__PURE__ */ calls.whoAmIBy(compatPlatform);
/** Commits from the newest on. */
export const listCommits = /* @__PURE__ */ calls.listCommitsBy(compatPlatform);

export {
  downloadFileToCacheDir,
  getHFHubCachePath,
  hfHubDownload,
  scanCacheDir,
  scanCachedRepo,
  snapshotDownload,
} from '#compat/file-calls';
