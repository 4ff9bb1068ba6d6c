import { hubCacheDir } from '../fs/env-folders.node.ts';
import { scanCacheDir as scanFolder, scanCachedRepo as scanRepo } from './cache-scan.node.ts';
import type { FileSystemCalls } from './file-system.ts';
import * as files from './files.node.ts';
import { checkFolderPath } from './parameters.ts';
import { compatPlatform } from './platform.node.ts';
import { withFallback } from './route.ts';

export const downloadFileToCacheDir: FileSystemCalls['downloadFileToCacheDir'] = withFallback(
  compatPlatform,
  'downloadFileToCacheDir',
  { withoutXet: 'by-xetkit' },
  files.downloadFileToCacheDir,
);
export const snapshotDownload: FileSystemCalls['snapshotDownload'] = withFallback(
  compatPlatform,
  'snapshotDownload',
  { withoutXet: 'by-xetkit', fits: files.inHubWordsOnly },
  files.snapshotDownload,
);
export const hfHubDownload: FileSystemCalls['hfHubDownload'] = withFallback(
  compatPlatform,
  'hfHubDownload',
  // The original has no such call.
  { withoutXet: 'by-xetkit', fits: () => false },
  files.hfHubDownload,
);
export const scanCacheDir: FileSystemCalls['scanCacheDir'] = withFallback(
  compatPlatform,
  'scanCacheDir',
  { withoutXet: 'as-it-is' },
  async (_platform, cacheDir = hubCacheDir()) => {
    checkFolderPath('scanCacheDir', cacheDir);
    return scanFolder(cacheDir);
  },
);
export const scanCachedRepo: FileSystemCalls['scanCachedRepo'] = withFallback(
  compatPlatform,
  'scanCachedRepo',
  { withoutXet: 'as-it-is' },
  async (_platform, repoPath) => {
    checkFolderPath('scanCachedRepo', repoPath);
    return scanRepo(repoPath);
  },
);
export const getHFHubCachePath: FileSystemCalls['getHFHubCachePath'] = () => hubCacheDir();
