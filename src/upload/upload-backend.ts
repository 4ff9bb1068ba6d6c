import { XetError } from '../core/errors.ts';
import type { Opaque } from '../core/opaque.ts';
import { createRepo, type NewRepo } from '../hub/create-repo.ts';
import {
  changeSettings,
  createTag,
  deleteBranch,
  deleteRepo,
  deleteTag,
  moveRepo,
  type RepoChanges,
} from '../hub/manage-repo.ts';
import { parseRepo, refuseForBucket, repoNamed, revisionOf } from '../hub/repo.ts';
import type { RepoDesignation } from '../hub/types.ts';
import { HubWriter } from '../hub/writer.ts';
import { editFile, type ReadOriginal } from './edit-file.ts';
import type { AppendOptions, EditOptions, FileEdit } from './edit-types.ts';
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

/** Options of `deleteBranch`. */
export interface DeleteBranchOptions extends Pick<CreateBranchOptions, 'repo' | 'signal'> {
  /** Name of the branch. */
  branch: string;
}

/** Options of `createTag`. */
export interface CreateTagOptions extends Pick<CreateBranchOptions, 'repo' | 'signal'> {
  /** Name of the new tag. */
  tag: string;
  /** Branch, tag or commit that it names. Default: `main`. */
  revision?: string;
  /** Message of the tag. Default: none. */
  message?: string;
}

/** Options of `deleteTag`. */
export interface DeleteTagOptions extends Pick<CreateBranchOptions, 'repo' | 'signal'> {
  /** Name of the tag. */
  tag: string;
}

/** Options of `deleteRepo`. */
export interface DeleteRepoOptions extends Pick<CreateBranchOptions, 'repo' | 'signal'> {
  /** Accepts that there is no such repository. Default: false. */
  missingOk?: boolean;
}

/** Options of `moveRepo`. */
export interface MoveRepoOptions extends Pick<CreateBranchOptions, 'signal'> {
  /** The repository as it is named now. */
  from: RepoDesignation;
  /** Its new name, of the same type; with another owner it is transferred. */
  to: RepoDesignation;
}

/** Options of `updateRepo`. */
export interface UpdateRepoOptions extends RepoChanges, Pick<CreateBranchOptions, 'repo' | 'signal'> {}

/** Uploads of a client: `webUploads` in pages. */
export interface UploadBackend extends Opaque<'uploads'> {}

const functionsOn = (platform: UploadPlatform) => ({
  upload: (context: UploadContext, options: UploadOptions & { signal: AbortSignal }) =>
    upload({ ...context, ...platform }, options),
  edit: (
    context: UploadContext,
    { edits, ...options }: EditOptions & { signal: AbortSignal },
    readOriginal: ReadOriginal,
  ) => editFile({ ...context, ...platform }, { ...options, editsOf: () => checkedEdits(edits) }, readOriginal),
  append: (
    context: UploadContext,
    { content, ...options }: AppendOptions & { signal: AbortSignal },
    readOriginal: ReadOriginal,
  ) => {
    const editsOf = (size: number) => [{ start: size, end: size, content }];
    return editFile({ ...context, ...platform }, { ...options, editsOf }, readOriginal);
  },
  createRepo: ({ http, hub, attempts }: UploadContext, { repo, ...rest }: CreateRepoOptions, signal: AbortSignal) =>
    createRepo(http, hub, { ...rest, repo: parseRepo(repo), attempts }, signal),
  createBranch: (
    { http, hub, attempts }: UploadContext,
    { repo, branch, ...rest }: CreateBranchOptions,
    signal: AbortSignal,
  ) => {
    const id = parseRepo(repo);
    refuseForBucket(id, { branch });
    return new HubWriter(http, hub, attempts).createBranch(id, branch, rest, signal);
  },
  deleteBranch: ({ hub }: UploadContext, { repo, branch }: DeleteBranchOptions, signal: AbortSignal) =>
    deleteBranch(hub, parseRepo(repo), branch, signal),
  createTag: ({ hub }: UploadContext, { repo, revision, ...rest }: CreateTagOptions, signal: AbortSignal) => {
    const id = parseRepo(repo);
    return createTag(hub, id, { ...rest, revision: revisionOf(id, revision) }, signal);
  },
  deleteTag: ({ hub }: UploadContext, { repo, tag }: DeleteTagOptions, signal: AbortSignal) =>
    deleteTag(hub, parseRepo(repo), tag, signal),
  deleteRepo: ({ hub }: UploadContext, { repo, ...rest }: DeleteRepoOptions, signal: AbortSignal) =>
    deleteRepo(hub, parseRepo(repo), rest, signal),
  moveRepo: ({ hub }: UploadContext, { from, to }: MoveRepoOptions, signal: AbortSignal) =>
    moveRepo(hub, repoNamed(from, hub.endpoint), repoNamed(to, hub.endpoint), signal),
  updateRepo: ({ hub }: UploadContext, { repo, ...settings }: UpdateRepoOptions, signal: AbortSignal) =>
    changeSettings(hub, parseRepo(repo), settings, signal),
});

/** Throws `INVALID_ARGUMENT` for anything but a list of edits. */
function checkedEdits(edits: readonly FileEdit[]): readonly FileEdit[] {
  const isEdit = (edit: unknown): edit is FileEdit =>
    typeof edit === 'object' && edit !== null && 'start' in edit && 'end' in edit;
  if (Array.isArray(edits) && edits.length > 0 && edits.every(isEdit)) return edits;
  throw new XetError(
    'INVALID_ARGUMENT',
    'edits must be a list of { start, end, content } with at least one item. Use append() to add bytes at the end.',
  );
}

/** Functions that write to a Hub, in one piece: a page that only reads carries none of them. */
export type UploadFunctions = ReturnType<typeof functionsOn>;

/** Makes a backend for one platform. */
export const uploadBackend = (platform: UploadPlatform): UploadBackend =>
  functionsOn(platform) as unknown as UploadBackend;

export const uploadFunctionsOf = (backend: UploadBackend): UploadFunctions => backend as unknown as UploadFunctions;
