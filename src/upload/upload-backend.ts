import { createRepo, type NewRepo } from '../hub/create-repo.ts';
import { parseRepo, type RepoDesignation } from '../hub/repo.ts';
import { HubWriter } from '../hub/writer.ts';
import { type UploadParts, type UploadPlatform, upload } from './upload.ts';
import type { UploadOptions } from './upload-types.ts';

/** What a client has of its own, whatever the platform. */
export type UploadContext = Omit<UploadParts, keyof UploadPlatform>;

/** What to delete, and how to commit that. */
export interface DeleteFilesOptions
  extends Pick<
    UploadOptions,
    'repo' | 'branch' | 'title' | 'description' | 'parentCommit' | 'createPr' | 'signal' | 'onProgress'
  > {
  /** Paths in the repository, or one of them; a folder ends in `/`. */
  paths: string | readonly string[];
}

/** Which repository to create, and how. */
export interface CreateRepoOptions extends NewRepo {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /** Stops it: the promise rejects with its reason. */
  signal?: AbortSignal;
}

/** Which branch to make. */
export interface CreateBranchOptions {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /** Its name. */
  branch: string;
  /** What it begins at: a branch, tag or commit. Default: `main`. */
  revision?: string;
  /** Moves a branch of that name, if there is one. Default: false. */
  overwrite?: boolean;
  /** Stops it: the promise rejects with its reason. */
  signal?: AbortSignal;
}

/** All that writes to a Hub, in one piece: a page that only reads does without its code. */
export const uploadBackend = (platform: UploadPlatform) => ({
  upload: (parts: UploadContext, options: UploadOptions & { signal: AbortSignal }) =>
    upload({ ...parts, ...platform }, options),
  createRepo: ({ http, hub, attempts }: UploadContext, { repo, ...rest }: CreateRepoOptions, signal: AbortSignal) =>
    createRepo(http, hub, { ...rest, repo: parseRepo(repo), attempts }, signal),
  createBranch: (
    { http, hub, attempts }: UploadContext,
    { repo, branch, ...rest }: CreateBranchOptions,
    signal: AbortSignal,
  ) => new HubWriter(http, hub, attempts).createBranch(parseRepo(repo), branch, rest, signal),
});

/** What uploads: pass `webUploads`, or leave it out. */
export type UploadBackend = ReturnType<typeof uploadBackend>;
