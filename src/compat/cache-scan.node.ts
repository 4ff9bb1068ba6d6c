import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { XetError } from '../core/errors.ts';
import { hubCacheDir } from '../fs/env-folders.node.ts';
import type { CachedRepo, CachedRevision } from '../manage/cached-repo.ts';
import { scanCache } from '../manage/scan.node.ts';
import type { CachedRepoInfo, CachedRevisionInfo, HFCacheInfo } from './types.ts';

/** Contents of the Hub cache folder, including nested files and refs. Rejects if the folder does not exist. */
export async function scanCacheDir(cacheDir: string = hubCacheDir()): Promise<HFCacheInfo> {
  await stat(cacheDir);
  const { repos, warnings } = await scanCache(cacheDir);
  return {
    repos: repos.map(repoInfo),
    size: repos.reduce((total, { size }) => total + size, 0),
    warnings: warnings.map(({ localPath, message }) => new Error(`${localPath}: ${message}`)),
  };
}

/** One repository of a cache folder, by its path there. */
export async function scanCachedRepo(repoPath: string): Promise<CachedRepoInfo> {
  const path = resolve(repoPath);
  await stat(path);
  const { repos, warnings } = await scanCache(dirname(path));
  const repo = repos.find((one) => one.path === path);
  if (repo) return repoInfo(repo);
  const reason = warnings.find((one) => one.localPath === path)?.message ?? 'It is no folder of a repository.';
  throw new XetError('CACHE', `${path}: ${reason}`);
}

function repoInfo({
  type,
  name,
  path,
  size,
  blobs,
  revisions,
  lastAccessed,
  lastModified,
}: CachedRepo): CachedRepoInfo {
  return {
    id: { type, name },
    path,
    size,
    filesCount: blobs,
    revisions: revisions.map(revisionInfo),
    lastAccessedAt: new Date(lastAccessed),
    lastModifiedAt: new Date(lastModified),
  };
}

function revisionInfo({ commit, path, size, files, refs, lastModified }: CachedRevision): CachedRevisionInfo {
  return {
    commitOid: commit,
    path,
    size,
    files: files.map((file) => ({
      path: file.path,
      blob: {
        path: file.blob,
        size: file.size,
        lastModifiedAt: new Date(file.lastModified),
        lastAccessedAt: new Date(file.lastAccessed),
      },
    })),
    refs,
    lastModifiedAt: new Date(lastModified),
  };
}
