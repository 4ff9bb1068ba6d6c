/**
 * `xetkit/compat`: the calls of `@huggingface/hub` that have to do with files, made by xetkit, for browsers and other
 * places without a file system. Same surface as the Node entry.
 *
 * Parameters, results and errors are those of `@huggingface/hub` 2.17. What has no name there, such as corrupt data
 * (`INTEGRITY`) or a full disk, is a `XetError`.
 * @module
 */
import * as calls from '../compat/calls.ts';
import type { FileSystemCalls } from '../compat/file-system.ts';
import { needsFileSystem, noFileSystem } from '../compat/files.web.ts';
import { webCompat } from '../compat/platform.web.ts';
import { webUploading } from '../compat/platform.web-uploads.ts';

export * from '../compat/exports.ts';
export { isXetError, XetError, type XetErrorCode } from '../core/errors.ts';

/** A file as a `Blob` that is fetched when it is read, and verified; null where there is no such file. */
export const downloadFile = /* @__PURE__ */ calls.downloadFileBy(webCompat);
/** Size, entity tag and address of a file; null where there is none. */
export const fileDownloadInfo = /* @__PURE__ */ calls.fileDownloadInfoBy(webCompat);
/** What a folder of a repository holds; everything below it with `recursive`. */
export const listFiles = /* @__PURE__ */ calls.listFilesBy(webCompat);
/** What some paths are; those that do not exist are left out. */
export const pathsInfo = /* @__PURE__ */ calls.pathsInfoBy(webCompat);
/** Whether there is such a file. */
export const fileExists = /* @__PURE__ */ calls.fileExistsBy(webCompat);
/** One commit of one file. */
export const uploadFile = /* @__PURE__ */ calls.uploadFileBy(webUploading);
/** One commit of files. */
export const uploadFiles = /* @__PURE__ */ calls.uploadFilesBy(webUploading);
/** One commit of files, told of as it is made. */
export const uploadFilesWithProgress = /* @__PURE__ */ calls.uploadFilesWithProgressBy(webUploading);
/** One commit of additions, edits and deletions. */
export const commit = /* @__PURE__ */ calls.commitBy(webUploading);
/** One commit that removes a file. */
export const deleteFile = /* @__PURE__ */ calls.deleteFileBy(webUploading);
/** One commit that removes files. */
export const deleteFiles = /* @__PURE__ */ calls.deleteFilesBy(webUploading);
/** Makes a repository. */
export const createRepo = /* @__PURE__ */ calls.createRepoBy(webCompat);
/** Removes a repository and all that is in it. */
export const deleteRepo = /* @__PURE__ */ calls.deleteRepoBy(webCompat);
/** Makes a branch at a revision. */
export const createBranch = /* @__PURE__ */ calls.createBranchBy(webCompat);
/** Removes a branch; its commits stay until nothing leads to them. */
export const deleteBranch = /* @__PURE__ */ calls.deleteBranchBy(webCompat);
/** Whether there is such a repository for whoever asks. */
export const repoExists = /* @__PURE__ */ calls.repoExistsBy(webCompat);
/** Throws a `HubApiError` if the repository cannot be read. */
export const checkRepoAccess = /* @__PURE__ */ calls.checkRepoAccessBy(webCompat);
/** Whose token this is. */
export const whoAmI = /* @__PURE__ */ calls.whoAmIBy(webCompat);
/** Commits from the newest on. */
export const listCommits = /* @__PURE__ */ calls.listCommitsBy(webCompat);

/** A file in the Hub cache folder, verified; fetched if it is not there. Gives its path. Node, Deno and Bun only. */
export const downloadFileToCacheDir: FileSystemCalls['downloadFileToCacheDir'] = () =>
  needsFileSystem('downloadFileToCacheDir');
/**
 * A whole repository at one commit, or what patterns select of it. Gives the folder. Takes the words of
 * `@huggingface/hub` (`repo`), and those of Python (`repoId`). Node, Deno and Bun only.
 */
export const snapshotDownload: FileSystemCalls['snapshotDownload'] = () => needsFileSystem('snapshotDownload');
/** One file in the words of Python's `hf_hub_download`. Gives its path. Node, Deno and Bun only. */
export const hfHubDownload: FileSystemCalls['hfHubDownload'] = () => needsFileSystem('hfHubDownload');
/** What is in the Hub cache folder. Node, Deno and Bun only. */
export const scanCacheDir: FileSystemCalls['scanCacheDir'] = () => needsFileSystem('scanCacheDir');
/** One repository in the Hub cache folder, by its path. Node, Deno and Bun only. */
export const scanCachedRepo: FileSystemCalls['scanCachedRepo'] = () => needsFileSystem('scanCachedRepo');
/** The Hub cache folder, as the environment says. Node, Deno and Bun only. */
export const getHFHubCachePath: FileSystemCalls['getHFHubCachePath'] = () => noFileSystem('getHFHubCachePath');
