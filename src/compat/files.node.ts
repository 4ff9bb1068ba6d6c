import { dirname, join } from 'node:path';
import { XetError } from '../core/errors.ts';
import { hubCacheDir } from '../fs/env-folders.node.ts';
import { Fence } from '../fs/fence.node.ts';
import { repoFolderName, within } from '../fs/safe-paths.node.ts';
import { isFile, writeInOneStep } from '../fs/small-files.node.ts';
import { checkPath } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import { type ClientSettings, clientsOf } from './clients.ts';
import { downloadFile, settingsOf } from './download-file.ts';
import { apiError } from './errors.ts';
import { findFile } from './file-info.ts';
import type {
  DownloadToCacheParams,
  HfHubDownloadParams,
  Patterns,
  PythonParams,
  PythonSnapshotParams,
  SnapshotParams,
} from './file-system.ts';
import { pathsInfo } from './listing.ts';
import { isPath } from './paths.ts';
import type { CompatPlatform } from './platform.ts';
import { repoOf } from './repo.ts';

/** A file in the Hub cache folder, verified; fetched if it is not there yet. */
export async function downloadFileToCacheDir(platform: CompatPlatform, params: DownloadToCacheParams): Promise<string> {
  const { path, revision, cacheDir, raw = false, signal } = params;
  const repo = repoOf(params.repo);
  if (!isPath(path)) throw noSuchFile(params);
  if (raw) {
    const [entry] = await pathsInfo(platform, { ...params, paths: [path] });
    if (entry?.type !== 'file') throw noSuchFile(params);
    if (entry.lfs) return pointerFile(platform, params, repo);
  }
  const settings = { ...settingsOf(platform, params), cacheDir };
  return clientsOf(platform).with(settings, async (client) => {
    const result = await client.downloadFile({ repo, path, revision, signal });
    return result.localPath;
  });
}

/**
 * Writes the git pointer of a large file. It is stored separately, because in the snapshot or under its etag other
 * clients would take it for the file itself.
 */
async function pointerFile(platform: CompatPlatform, params: DownloadToCacheParams, repo: RepoId): Promise<string> {
  const { cacheDir = hubCacheDir(), path } = params;
  const found = await findFile(platform, { ...params, raw: true });
  if (!found) throw noSuchFile(params);
  const folder = join(cacheDir, repoFolderName(repo), 'raw');
  const target = within(join(folder, found.file.commit || 'unknown'), checkPath(path));
  const fence = Fence.ofCache(cacheDir);
  if (found.file.commit !== '' && (await isFile(target)) && (await fence.has(target))) return target;
  const blob = await downloadFile(platform, { ...params, raw: true, downloadInfo: found.info });
  if (!blob) throw noSuchFile(params);
  const content = await blob.text();
  await fence.makeFolder(dirname(target));
  // A repository without this folder counts as damaged.
  await fence.makeFolder(join(dirname(folder), 'snapshots'));
  await writeInOneStep(target, content, folder);
  return target;
}

function noSuchFile({ path, hubUrl = '' }: DownloadToCacheParams): Error {
  return apiError(hubUrl, 404, { data: { error: `There is no file '${path}'` } });
}

/** A whole repository, or what patterns select of it, at one commit. Gives the folder. */
export async function snapshotDownload(
  platform: CompatPlatform,
  params: SnapshotParams | PythonSnapshotParams,
): Promise<string> {
  const { allowPatterns, ignorePatterns, maxWorkers, localDir, forceDownload, localFilesOnly, signal, onProgress } =
    params;
  const { repo, settings } =
    params.repo === undefined
      ? inPython(platform, params)
      : { repo: repoOf(params.repo), settings: inHubWords(platform, params) };
  const selection = {
    repo,
    revision: params.revision ?? undefined,
    ...patterns({ allowPatterns, ignorePatterns }),
    localDir,
    force: forceDownload,
    ...(localFilesOnly && { offline: true }),
    signal,
    onProgress,
  };
  return clientsOf(platform).with({ ...settings, concurrency: maxWorkers }, async (client) => {
    return (await client.snapshot(selection)).folder;
  });
}

/** True if the original package honours all of these parameters. */
export function inHubWordsOnly(params: SnapshotParams | PythonSnapshotParams): boolean {
  const more = ['repoId', 'allowPatterns', 'ignorePatterns', 'localDir', 'localFilesOnly', 'forceDownload'] as const;
  return more.every((name) => !(name in params) || params[name] === undefined);
}

function patterns({ allowPatterns, ignorePatterns }: Patterns) {
  return {
    ...(allowPatterns !== null && allowPatterns !== undefined && { allowPatterns }),
    ...(ignorePatterns !== null && ignorePatterns !== undefined && { ignorePatterns }),
  };
}

function inHubWords(platform: CompatPlatform, params: SnapshotParams): ClientSettings {
  const { localFilesOnly, cacheDir } = params;
  return { ...settingsOf(platform, { ...params, path: '' }), cacheDir, ...(localFilesOnly && { offline: true }) };
}

/** Defaults from the environment, as in Python's client. */
function inPython(platform: CompatPlatform, params: PythonParams): { repo: RepoId; settings: ClientSettings } {
  const { repoId, repoType, token, endpoint, cacheDir, localFilesOnly, fetch } = params;
  const repo = repoOf({ type: repoType ?? 'model', name: repoId });
  const settings = {
    endpoint,
    cacheDir,
    fetch,
    accessToken: typeof token === 'string' ? token : token === false ? '' : undefined,
    xet: !platform.switches().xetDisabled,
    ...(localFilesOnly && { offline: true }),
  };
  return { repo, settings };
}

/** One file, in the cache folder or in a folder of the caller's own. Gives its path. */
export async function hfHubDownload(platform: CompatPlatform, params: HfHubDownloadParams): Promise<string> {
  const { filename, subfolder, revision, localDir, forceDownload, localFilesOnly, signal, onProgress } = params;
  if (forceDownload && localFilesOnly) {
    throw new XetError('INVALID_ARGUMENT', 'forceDownload and localFilesOnly exclude each other.');
  }
  const { repo, settings } = inPython(platform, params);
  const path = subfolder ? `${subfolder.replace(/\/+$/, '')}/${filename}` : filename;
  return clientsOf(platform).with(settings, async (client) => {
    const wanted = { repo, path, revision: revision ?? undefined, localDir, force: forceDownload, signal, onProgress };
    return (await client.downloadFile(wanted)).localPath;
  });
}
