import type { Opaque } from '../core/opaque.ts';
import { createRepo, type NewRepo } from '../hub/create-repo.ts';
import { parseRepo } from '../hub/repo.ts';
import type { RepoDesignation } from '../hub/types.ts';
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

/** Uploads of a client: `webUploads` in pages. */
export interface UploadBackend extends Opaque<'uploads'> {}

const functionsOn = (platform: UploadPlatform) => ({
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

/** Functions that write to a Hub, in one piece: a page that only reads carries none of them. */
export type UploadFunctions = ReturnType<typeof functionsOn>;

/** Makes a backend for one platform. */
export const uploadBackend = (platform: UploadPlatform): UploadBackend =>
  functionsOn(platform) as unknown as UploadBackend;

export const uploadFunctionsOf = (backend: UploadBackend): UploadFunctions => backend as unknown as UploadFunctions;
