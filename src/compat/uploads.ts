import { textsOf } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { Progress } from '../core/progress.ts';
import type { UploadedFileInfo } from '../upload/upload-types.ts';
import { type ClientSettings, clientsOf } from './clients.ts';
import { CommitEvents, type CommitProgressEvent } from './commit-events.ts';
import { hubUrlOf, type RequestParams } from './compat-http.ts';
import { EventQueue } from './event-queue.ts';
import type { CompatPlatform } from './platform.ts';
import { repoOf } from './repo.ts';
import { splice } from './splice.ts';
import { type CompatRepoDesignation, tokenOf } from './types.ts';

export type ContentSource = Blob | URL;

export interface CommitDeletedEntry {
  operation: 'delete';
  path: string;
}

export interface CommitFile {
  operation: 'addOrUpdate';
  path: string;
  content: ContentSource;
}

/** Parts of a file that are replaced; positions are those in the original, ends are not included. */
export interface CommitEditFileParams {
  path: string;
  originalContent: Blob;
  edits: Array<{ content: Blob; start: number; end: number }>;
}

export interface CommitEditFile extends CommitEditFileParams {
  operation: 'edit';
}

/** Of buckets only, so left to the original package. */
export interface CommitCopyFile {
  operation: 'copy';
  path: string;
  sourceXetHash: string;
  sourceRepo: CompatRepoDesignation;
}

export type CommitOperation = CommitDeletedEntry | CommitFile | CommitEditFile | CommitCopyFile;

export type UploadSource = URL | File | { path: string; content: ContentSource } | CommitEditFileParams;

/** Undefined in its place is what a bucket gives, which has no commits. */
export interface CommitOutput {
  pullRequestUrl?: string;
  commit: { oid: string; url: string };
  hookOutput: string;
}

interface Target {
  repo: CompatRepoDesignation;
  /** Default: `main`. */
  branch?: string;
  isPullRequest?: boolean;
  /** The commit that the branch must be at. */
  parentCommit?: string;
}

interface UploadFlags {
  /** Without effect: what takes time runs in workers wherever there are any. */
  useWebWorkers?: boolean | { minSize?: number; poolSize?: number };
  /** Without effect: folders are taken whole. */
  maxFolderDepth?: number;
  abortSignal?: AbortSignal;
  /** False sends large files in the way of git-lfs, which is left to the original package. Default: true. */
  useXet?: boolean;
  /** Without effect: what was uploaded before is known anyway. */
  rangeEditCache?: ReadonlyMap<string, unknown>;
}

export type CommitParams = RequestParams &
  Target &
  UploadFlags & { title: string; description?: string; operations: CommitOperation[] };

interface Titles {
  commitTitle?: string;
  commitDescription?: string;
}

export type UploadFilesParams = RequestParams & Target & UploadFlags & Titles & { files: UploadSource[] };
export type UploadFileParams = Omit<UploadFilesParams, 'files' | 'maxFolderDepth'> & { file: UploadSource };
export type DeleteFilesParams = RequestParams & Target & Titles & { paths: string[] };
export type DeleteFileParams = Omit<DeleteFilesParams, 'paths'> & { path: string };

/** One commit of files. */
export async function uploadFiles(
  platform: CompatPlatform,
  params: UploadFilesParams,
): Promise<CommitOutput | undefined> {
  return upload(platform, params, work(params));
}

export async function uploadFile(
  platform: CompatPlatform,
  { file, ...params }: UploadFileParams,
): Promise<CommitOutput | undefined> {
  return uploadFiles(platform, { ...params, files: [file] });
}

/** One commit of files, told of as it is made. */
export async function* uploadFilesWithProgress(
  platform: CompatPlatform,
  params: UploadFilesParams,
): AsyncGenerator<CommitProgressEvent, CommitOutput | undefined, undefined> {
  const queue = new EventQueue<CommitProgressEvent>();
  const events = new CommitEvents((event) => queue.push(event));
  events.begin();
  const result = upload(platform, params, {
    ...work(params),
    onProgress: (progress) => events.told(progress),
    onDone: (files) => events.finish(files.filter(({ mode }) => mode === 'lfs').map(({ path }) => path)),
  });
  // Its end ends the events; a failure is told by awaiting it.
  const end = () => queue.end();
  result.then(end, end);
  yield* queue;
  return await result;
}

export async function deleteFiles(
  platform: CompatPlatform,
  params: DeleteFilesParams,
): Promise<CommitOutput | undefined> {
  const { commitTitle, commitDescription } = params;
  const paths = textsOf(params.paths, 'paths') ?? [];
  const title = commitTitle ?? (paths.length === 1 ? `Delete ${paths[0]}` : `Delete ${paths.length} files`);
  return upload(platform, params, { files: [], deletions: paths, title, description: commitDescription });
}

export async function deleteFile(
  platform: CompatPlatform,
  { path, ...params }: DeleteFileParams,
): Promise<CommitOutput | undefined> {
  return deleteFiles(platform, { ...params, paths: [path] });
}

/** One commit of whatever is to be done. */
export async function commit(platform: CompatPlatform, params: CommitParams): Promise<CommitOutput | undefined> {
  const { title, description, operations } = params;
  const files: UploadSource[] = [];
  const deletions: string[] = [];
  for (const operation of listOf(operations, 'operation')) {
    checkPathOf(operation);
    if (operation.operation === 'delete') deletions.push(operation.path);
    else if (operation.operation === 'copy') repoOf({ type: 'bucket', name: operation.path });
    else files.push(operation);
  }
  return upload(platform, params, { files: files.map(source), deletions, title, description });
}

interface Work {
  files: ReturnType<typeof source>[];
  deletions?: string[];
  title: string;
  description?: string | undefined;
  onProgress?: (progress: Progress) => void;
  onDone?: (files: readonly UploadedFileInfo[]) => void;
}

/** A single one is a list of one, also of programs that no compiler has checked: a text is no list of its characters. */
function listOf<T extends object>(given: Iterable<T> | T, member: string): T[] {
  if (typeof given === 'string' || given instanceof URL || given instanceof Blob) return [given as T];
  if (!isObject(given)) throw invalidItem(member, given);
  const list = member in given || !(Symbol.iterator in given) ? [given as T] : [...given];
  const isItem = (item: unknown) => isObject(item) && (member in item || item instanceof URL || item instanceof Blob);
  for (const item of list) if (!isItem(item) && typeof item !== 'string') throw invalidItem(member, item);
  return list;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

function invalidItem(member: string, item: unknown): XetError {
  const form =
    member === 'operation'
      ? "An operation is { operation: 'addOrUpdate', path, content } or { operation: 'delete', path }"
      : 'A file is { path, content }, a File, a URL or a local path';
  return new XetError('INVALID_ARGUMENT', `${form}, not ${isObject(item) ? 'an object without it' : String(item)}.`);
}

function checkPathOf({ path }: { path: unknown }): void {
  if (typeof path !== 'string')
    throw new XetError('INVALID_ARGUMENT', `'path' of a file must be a string, not ${typeof path}.`);
}

function work({ commitTitle, commitDescription, ...params }: UploadFilesParams): Work {
  const files = listOf(params.files, 'path');
  const [first] = files;
  const name = first && titleOf(first);
  const title = commitTitle ?? (files.length === 1 ? `Add ${name}` : `Add ${files.length} files`);
  return { files: files.map(source), title, description: commitDescription };
}

function titleOf(file: UploadSource): string {
  if (typeof file === 'string') return file;
  return file instanceof URL ? nameOf(file) : 'path' in file ? file.path : file.name;
}

/** The last part of an address. */
function nameOf({ pathname }: URL): string {
  return decodeURIComponent(pathname.replace(/\/+$/, '').split('/').pop() ?? '');
}

function source(file: UploadSource) {
  // A local file or folder goes under its own name.
  if (file instanceof URL && file.protocol === 'file:') return { path: nameOf(file), content: file };
  if (file instanceof URL || file instanceof Blob || typeof file === 'string') return file;
  checkPathOf(file);
  if ('content' in file) return { path: file.path, content: file.content };
  return { path: file.path, content: splice(file.originalContent, file.edits) };
}

async function upload(
  platform: CompatPlatform,
  params: RequestParams & Target & Pick<UploadFlags, 'abortSignal' | 'useXet'>,
  { onDone, ...todo }: Work,
): Promise<CommitOutput | undefined> {
  const { branch, isPullRequest, parentCommit, abortSignal, signal = abortSignal } = params;
  const repo = repoOf(params.repo);
  if (todo.files.length > 0 && (params.useXet === false || platform.switches().xetDisabled)) {
    throw new XetError('UNSUPPORTED', 'xetkit sends large files through Xet only: without it use @huggingface/hub.');
  }
  return clientsOf(platform).with(settingsOf(params), async (client) => {
    const { commit, url, pullRequestUrl, files } = await client.upload({
      ...todo,
      repo,
      branch,
      parentCommit,
      createPr: isPullRequest,
      signal,
    });
    onDone?.(files);
    const page = `${client.endpoint}/${repo.type === 'model' ? '' : `${repo.type}s/`}${repo.name}/commit/${commit}`;
    return { pullRequestUrl, commit: { oid: commit, url: url ?? page }, hookOutput: '' };
  });
}

function settingsOf(params: RequestParams): ClientSettings {
  return { endpoint: hubUrlOf(params), accessToken: tokenOf(params) ?? '', fetch: params.fetch };
}
