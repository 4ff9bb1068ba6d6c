import { createRepo, type NewRepo } from '../hub/create-repo.ts';
import { parseRepo, type RepoDesignation } from '../hub/repo.ts';
import { HubWriter } from '../hub/writer.ts';
import { upload } from './upload.ts';
import type { UploadContext, UploadOptions, UploadPlatform } from './upload-types.ts';

/** Options of `deleteFiles`. */
export interface DeleteFilesOptions
  extends Pick<
    UploadOptions,
    'repo' | 'branch' | 'title' | 'description' | 'parentCommit' | 'createPr' | 'signal' | 'onProgress'
  > {
  /** One or more paths in the repository; a folder ends with `/`. */
  paths: string | readonly string[];
}

/** Options of `createRepo`. */
export interface CreateRepoOptions extends NewRepo {
  /** Repository, such as `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /** Aborts the call: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Options of `createBranch`. */
export interface CreateBranchOptions {
  /** Repository, such as `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /** Name of the new branch. */
  branch: string;
  /** Starting point: a branch, tag or commit. Default: `main`. */
  revision?: string;
  /** Moves the branch if it exists. Default: false. */
  overwrite?: boolean;
  /** Aborts the call: the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** All calls that write to a Hub. A page that only reads does not bundle them. */
export const uploadBackend = (platform: UploadPlatform) => ({
  upload: (context: UploadContext, options: UploadOptions & { signal: AbortSignal }) =>
    upload({ ...context, ...platform }, options),
  createRepo: ({ http, hub, attempts }: UploadContext, { repo, ...rest }: CreateRepoOptions, signal: AbortSignal) =>
    createRepo(http, hub, { ...rest, repo: parseRepo(repo), attempts }, signal),
  createBranch: (
    { http, hub, attempts }: UploadContext,
    { repo, branch, ...rest }: CreateBranchOptions,
    signal: AbortSignal,
  ) => new HubWriter(http, hub, attempts).createBranch(parseRepo(repo), branch, rest, signal),
});

/** Implementation of uploads: `webUploads` in pages. */
export type UploadBackend = ReturnType<typeof uploadBackend>;
