import type * as original from '@huggingface/hub';
import type * as ours from 'xetkit/compat';

// Nothing here runs: `tsc` says whether a program that was written for the one package compiles with the other.

type Original = typeof original;
type Ours = typeof ours;
/** What both have. */
type Both = Extract<keyof Original, keyof Ours>;

/** In place of the original: for every call, constant and class under the same name. */
export const inPlace = (api: Ours): Pick<Original, Both> => api;

/** One by one, so that a message names the one that does not fit. */
export function oneByOne(api: Ours) {
  const downloadFile: Original['downloadFile'] = api.downloadFile;
  const fileDownloadInfo: Original['fileDownloadInfo'] = api.fileDownloadInfo;
  const listFiles: Original['listFiles'] = api.listFiles;
  const pathsInfo: Original['pathsInfo'] = api.pathsInfo;
  const fileExists: Original['fileExists'] = api.fileExists;
  const downloadFileToCacheDir: Original['downloadFileToCacheDir'] = api.downloadFileToCacheDir;
  const snapshotDownload: Original['snapshotDownload'] = api.snapshotDownload;
  const uploadFile: Original['uploadFile'] = api.uploadFile;
  const uploadFiles: Original['uploadFiles'] = api.uploadFiles;
  const uploadFilesWithProgress: Original['uploadFilesWithProgress'] = api.uploadFilesWithProgress;
  const commit: Original['commit'] = api.commit;
  const deleteFile: Original['deleteFile'] = api.deleteFile;
  const deleteFiles: Original['deleteFiles'] = api.deleteFiles;
  const scanCacheDir: Original['scanCacheDir'] = api.scanCacheDir;
  const scanCachedRepo: Original['scanCachedRepo'] = api.scanCachedRepo;
  const createRepo: Original['createRepo'] = api.createRepo;
  const deleteRepo: Original['deleteRepo'] = api.deleteRepo;
  const createBranch: Original['createBranch'] = api.createBranch;
  const deleteBranch: Original['deleteBranch'] = api.deleteBranch;
  const repoExists: Original['repoExists'] = api.repoExists;
  const checkRepoAccess: Original['checkRepoAccess'] = api.checkRepoAccess;
  const whoAmI: Original['whoAmI'] = api.whoAmI;
  const listCommits: Original['listCommits'] = api.listCommits;
  const reads = { downloadFile, fileDownloadInfo, listFiles, pathsInfo, fileExists, whoAmI, listCommits };
  const disk = { downloadFileToCacheDir, snapshotDownload, scanCacheDir, scanCachedRepo };
  const writes = { uploadFile, uploadFiles, uploadFilesWithProgress, commit, deleteFile, deleteFiles };
  const repos = { createRepo, deleteRepo, createBranch, deleteBranch, repoExists, checkRepoAccess };
  return { ...reads, ...disk, ...writes, ...repos };
}

type Call = (...parameters: never[]) => unknown;
/** What a call gives, also one by one. */
type Given<F> = F extends (...parameters: never[]) => infer R
  ? R extends AsyncGenerator<infer T, unknown, unknown>
    ? T
    : Awaited<R>
  : never;
type Calls = { [K in Both]: Original[K] extends Call ? K : never }[Both];
/** What the original gives is taken where ours is expected, and the other way round. */
type Fits<A, B> = [A] extends [B] ? true : false;
type Mismatch = {
  [K in Calls]: Fits<Given<Original[K]>, Given<Ours[K]>> extends true
    ? Fits<Given<Ours[K]>, Given<Original[K]>> extends true
      ? never
      : K
    : K;
}[Calls];
export const noMismatch: [Mismatch] extends [never] ? 'all results fit' : Mismatch = 'all results fit';

// Types by their names, both ways.
export const typesBothWays = (
  theirs: {
    repo: original.RepoDesignation;
    id: original.RepoId;
    info: original.FileDownloadInfoOutput;
    entry: original.ListFileEntry;
    path: original.PathInfo;
    cache: original.HFCacheInfo;
    commit: original.CommitOutput;
    event: original.CommitProgressEvent;
    token: original.XetReadToken;
    error: original.HubApiError;
  },
  own: {
    repo: ours.CompatRepoDesignation;
    id: ours.CompatRepoId;
    info: ours.FileDownloadInfoOutput;
    entry: ours.ListFileEntry;
    path: ours.PathInfo;
    cache: ours.HFCacheInfo;
    commit: ours.CommitOutput;
    event: ours.CommitProgressEvent;
    token: ours.XetReadToken;
    error: ours.HubApiError;
  },
) => {
  const there: typeof theirs = own;
  const back: typeof own = theirs;
  return [there, back];
};

/** Words of both clients in one call. */
export const snapshots = (api: Ours) => [
  api.snapshotDownload({ repo: 'owner/name', allowPatterns: ['*.json'], localDir: 'here' }),
  api.snapshotDownload({ repoId: 'owner/name', repoType: 'dataset', ignorePatterns: '*.bin', token: false }),
  // @ts-expect-error a repository is named once
  api.snapshotDownload({ repo: 'owner/name', repoId: 'owner/name' }),
  // @ts-expect-error or in any case
  api.snapshotDownload({ revision: 'main' }),
];
