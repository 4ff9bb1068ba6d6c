import { stat } from 'node:fs/promises';
import { posix } from 'node:path';
import type { BaseXetClient } from '../client/client.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { ifPresent } from '../fs/if-present.ts';
import { givenFolder, repoText } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import type { UploadItem } from '../upload/gather.ts';
import type { CreateRepoOptions } from '../upload/upload-backend.ts';
import type { UploadedFileInfo, UploadOptions, UploadResult } from '../upload/upload-types.ts';
import type { Output } from './output.ts';
import type { Target } from './target.ts';
import { formatBytes, formatDuration } from './units.ts';

export interface UploadCommand {
  target: Target;
  /** Path of a local file or folder; `-` is standard input. */
  local: string;
  pathInRepo: string | undefined;
  include: string[] | undefined;
  exclude: string[] | undefined;
  deletions: string[] | undefined;
  message: string | undefined;
  description: string | undefined;
  createPr: boolean;
  force: boolean;
  /** Options for creating a missing repository; without them nothing is created. */
  create: Pick<CreateRepoOptions, 'visibility' | 'sdk'> | undefined;
}

/** Client methods that the command uses. */
export type Uploader = Pick<BaseXetClient, 'upload' | 'createRepo' | 'endpoint'>;

/** `xetkit upload`: a file, a folder or standard input, in one commit. */
export async function upload(
  client: Uploader,
  command: UploadCommand,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { target, include, exclude, message: title, description, createPr, create, force } = command;
  const { repo, revision: branch } = target;
  if (create) {
    const { created, url } = await client.createRepo({ ...create, repo, existOk: true, signal });
    if (created) output.note(`created ${repoText(repo)}: ${url}`);
  }
  const options: UploadOptions = {
    repo,
    files: itemOf(command),
    include,
    exclude,
    ...(await deletionsOf(command)),
    force,
    branch,
    title,
    description,
    createPr,
    signal,
    onProgress: output.progress.bind(output),
  };
  try {
    const result = await client.upload(options);
    output.end();
    report(result, pageOf(client.endpoint, repo, result), output);
  } catch (error) {
    throw explained(error, command);
  } finally {
    output.end();
  }
}

/**
 * Paths to delete are those of the repository. Patterns are read from the folder on that is uploaded to, as in other
 * clients: nothing outside of it goes.
 */
async function deletionsOf(command: UploadCommand): Promise<Pick<UploadOptions, 'deletions' | 'deletePatterns'>> {
  const { deletions = [], local, target, pathInRepo = target.path } = command;
  const isPattern = (text: string) => /[*?[]/.test(text);
  const into = givenFolder(pathInRepo);
  const isFolder = local !== '-' && (await ifPresent(() => stat(local)))?.isDirectory();
  const folder = into === undefined || isFolder || pathInRepo?.endsWith('/') ? into : givenFolder(posix.dirname(into));
  const prefix = folder === undefined ? '' : `${folder.replace(/[*?[]/g, '[$&]')}/`;
  return {
    deletions: deletions.filter((text) => !isPattern(text)),
    deletePatterns: deletions.filter(isPattern).map((pattern) => `${prefix}${pattern}`),
  };
}

function itemOf({ local, target, pathInRepo = target.path }: UploadCommand): UploadItem {
  if (local !== '-') return { path: pathInRepo ?? '', content: local };
  if (pathInRepo !== undefined && pathInRepo !== '') return { path: pathInRepo, content: process.stdin };
  throw new XetError('INVALID_ARGUMENT', 'Standard input has no name: say which path it is to have in the repository.');
}

/** Some failures have a remedy that only the command line knows by name. */
function explained(error: unknown, { target }: UploadCommand): unknown {
  if (!isXetError(error, 'REPOSITORY_NOT_FOUND', 'REVISION_NOT_FOUND')) return error;
  const { status, url, requestId } = error;
  const remedy =
    error.code === 'REPOSITORY_NOT_FOUND'
      ? 'To create the repository, add --create.'
      : `The branch '${target.revision ?? 'main'}' must exist.`;
  return new XetError(error.code, `${error.message} ${remedy}`, { status, url, requestId, cause: error });
}

/** Page of the commit that has everything, whether it was made now or not; of a bucket, its own page. */
function pageOf(endpoint: string, repo: RepoId, { url, commit }: UploadResult): string {
  const page = `${endpoint}/${repoText(repo)}`;
  return url || (repo.type === 'bucket' ? page : `${page}/commit/${commit}`);
}

function report(result: UploadResult, page: string, output: Output): void {
  const { commit, pullRequestUrl, commits, files, bytes, requests, seconds } = result;
  for (const file of files) output.record(recordOf(file));
  output.record({
    summary: true,
    files: files.length,
    bytes,
    commit,
    url: page,
    pullRequestUrl: pullRequestUrl ?? null,
    commits: commits.length,
    requests,
    seconds: Math.round(seconds * 1000) / 1000,
  });
  const ignored = files.filter(({ status }) => status === 'ignored').length;
  if (ignored > 0) output.note(`left out by .gitignore: ${counted(ignored)}`);
  // A bucket has no commits.
  if (commits.length === 0 && commit !== '') output.note(`nothing changed: all of it is at commit ${commit}`);
  else {
    output.note(
      `${counted(files.length - ignored)}, ${formatBytes(bytes.total)}, in ${formatDuration(seconds)}: ` +
        `${formatBytes(bytes.sent)} sent, ${formatBytes(bytes.deduplicated)} stored there already` +
        `${commits.length > 1 ? `, in ${commits.length} commits` : ''}`,
    );
  }
  output.result(pullRequestUrl ?? page);
}

function recordOf({ path, size, xetHash, sha256, mode, status }: UploadedFileInfo) {
  return { path, size: size ?? null, xetHash: xetHash ?? null, sha256: sha256 ?? null, mode, status };
}

function counted(files: number): string {
  return `${files} ${files === 1 ? 'file' : 'files'}`;
}
