import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as original from '@huggingface/hub';
import type * as ours from 'xetkit/compat';
import { sha256 } from './outcome.ts';

/** What a program uses, under the names that both packages have. */
export type Api = Pick<typeof original, Extract<keyof typeof original, keyof typeof ours>>;

/** What a row of the table works with. */
export interface Place {
  /** Of the Hub, for every call. */
  on: { hubUrl: string; fetch: typeof fetch };
  /** A Hub cache folder of its own. */
  cacheDir: string;
  /** A repository of its own, to write to. */
  mine: string;
  /** Commits of `owner/model`. */
  first: string;
  last: string;
  /** Requests made since the row began. */
  asked: () => string[];
}

export interface Row {
  does: string;
  call: (api: Api, place: Place) => unknown;
}

const repo = 'owner/model';
const TOKEN = 'hf_local';
export const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
};

/** A file as programs get it that take it for granted. */
const blob = async (api: Api, path: string, params: Partial<Parameters<Api['downloadFile']>[0]>): Promise<Blob> => {
  const found = await api.downloadFile({ repo, path, ...params } as Parameters<Api['downloadFile']>[0]);
  if (!found) throw new Error(`no ${path}`);
  return found;
};

async function folderContent(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  const content: Record<string, string> = {};
  for (const file of files.sort()) content[file.slice(folder.length + 1)] = sha256(await readFile(file));
  return content;
}

const downloads: Row[] = [
  {
    does: 'JSON of a small file',
    call: async (api, { on }) => JSON.parse(await (await blob(api, 'config.json', on)).text()),
  },
  { does: 'text of a file of git', call: async (api, { on }) => (await blob(api, 'README.md', on)).text() },
  { does: 'a whole Xet file', call: (api, { on }) => api.downloadFile({ repo, path: 'big.bin', ...on }) },
  { does: 'a small Xet file', call: (api, { on }) => api.downloadFile({ repo, path: 'small.bin', ...on }) },
  { does: 'an empty file', call: (api, { on }) => api.downloadFile({ repo, path: 'empty.txt', ...on }) },
  { does: 'a file in folders', call: (api, { on }) => api.downloadFile({ repo, path: 'sub/dir/a.txt', ...on }) },
  {
    does: 'a file of a dataset',
    call: (api, { on }) => api.downloadFile({ repo: 'datasets/owner/data', path: 'rows.bin', ...on }),
  },
  {
    does: 'a repository by type and name',
    call: (api, { on }) => api.downloadFile({ repo: { type: 'dataset', name: 'owner/data' }, path: 'rows.bin', ...on }),
  },
  {
    does: 'a file of a space',
    call: (api, { on }) => api.downloadFile({ repo: 'spaces/owner/space', path: 'app.py', ...on }),
  },
  {
    does: 'a file of a commit',
    call: (api, { on, first }) => api.downloadFile({ repo, path: 'config.json', revision: first, ...on }),
  },
  {
    does: 'a file of a branch with a slash',
    call: (api, { on }) => api.downloadFile({ repo, path: 'config.json', revision: 'feature/x', ...on }),
  },
  {
    does: 'its size, type and class without reading',
    call: async (api, { on, asked }) => {
      const { size, type, ...rest } = await blob(api, 'big.bin', on);
      void rest;
      return { size, type, requests: asked().length, is: (await blob(api, 'big.bin', on)) instanceof Blob };
    },
  },
  { does: 'a slice', call: async (api, { on }) => (await blob(api, 'big.bin', on)).slice(1_000_000, 1_000_100) },
  { does: 'a slice from a place on', call: async (api, { on }) => (await blob(api, 'big.bin', on)).slice(1_999_000) },
  {
    does: 'a slice of a slice',
    call: async (api, { on }) => (await blob(api, 'big.bin', on)).slice(500, 1_500_000).slice(70_000, 300_000),
  },
  {
    does: 'a slice past the end',
    call: async (api, { on }) => (await blob(api, 'big.bin', on)).slice(1_999_990, 3_000_000),
  },
  {
    does: 'slices of a file of git',
    call: async (api, { on }) => (await blob(api, 'README.md', on)).slice(2, 7).text(),
  },
  {
    does: 'several slices at once',
    call: async (api, { on }) => {
      const file = await blob(api, 'big.bin', on);
      return Promise.all([0, 500_000, 1_200_000].map((at) => file.slice(at, at + 1000).arrayBuffer()));
    },
  },
  {
    does: 'the length of a header, then the header',
    call: async (api, { on }) => {
      const file = await blob(api, 'model.safetensors', on);
      const length = new DataView(await file.slice(0, 8).arrayBuffer()).getBigUint64(0, true);
      return JSON.parse(await file.slice(8, 8 + Number(length)).text());
    },
  },
  {
    does: 'a stream by its reader',
    call: async (api, { on }) => {
      const reader = (await blob(api, 'big.bin', on)).stream().getReader();
      const parts: Uint8Array[] = [];
      for (let step = await reader.read(); !step.done; step = await reader.read()) parts.push(step.value);
      return Buffer.concat(parts);
    },
  },
  {
    does: 'a stream that is iterated over',
    call: async (api, { on }) => Buffer.concat(await all((await blob(api, 'text.txt', on)).stream())),
  },
  {
    does: 'a stream that is left',
    call: async (api, { on }) => {
      const reader = (await blob(api, 'big.bin', on)).stream().getReader();
      const { value } = await reader.read();
      await reader.cancel();
      return (value?.length ?? 0) > 0;
    },
  },
  { does: 'a Response of it', call: async (api, { on }) => new Response(await blob(api, 'big.bin', on)).arrayBuffer() },
  {
    does: 'it twice',
    call: async (api, { on }) => {
      const file = await blob(api, 'small.bin', on);
      return [await file.arrayBuffer(), await file.arrayBuffer()];
    },
  },
  {
    does: 'over plain HTTP',
    call: async (api, { on, asked }) => {
      const bytes = await (await blob(api, 'big.bin', { xet: false, ...on })).arrayBuffer();
      return { bytes, xorbs: asked().filter((kind) => kind === 'xorb').length };
    },
  },
  {
    does: 'one range at a time',
    call: (api, { on }) => api.downloadFile({ repo, path: 'big.bin', parallelDownloads: false, ...on }),
  },
  {
    does: 'with limits',
    call: (api, { on }) =>
      api.downloadFile({
        repo,
        path: 'big.bin',
        parallelDownloads: { maxConcurrency: 2, maxInFlightBytes: 64_000_000 },
        ...on,
      }),
  },
  {
    does: 'the pointer of a large file',
    call: async (api, { on }) => (await blob(api, 'big.bin', { raw: true, ...on })).text(),
  },
  {
    does: 'a small file as it is',
    call: async (api, { on }) => (await blob(api, 'README.md', { raw: true, ...on })).text(),
  },
  {
    does: 'with what is known of it',
    call: async (api, { on, asked }) => {
      const downloadInfo = (await api.fileDownloadInfo({ repo, path: 'big.bin', ...on })) ?? undefined;
      const bytes = await (await blob(api, 'big.bin', { downloadInfo, ...on })).arrayBuffer();
      return { bytes, resolved: asked().filter((kind) => kind === 'resolve').length };
    },
  },
  {
    does: 'with a token of the CAS',
    call: async (api, { on, asked }) => {
      const downloadInfo = (await api.fileDownloadInfo({ repo, path: 'other.bin', ...on })) ?? undefined;
      const answer = await fetch(String(downloadInfo?.xet?.refreshUrl));
      const readToken = (await answer.json()) as { accessToken: string; casUrl: string; exp: number };
      const bytes = await (await blob(api, 'other.bin', { downloadInfo, xet: { readToken }, ...on })).arrayBuffer();
      return { bytes, tokens: asked().filter((kind) => kind === 'token').length };
    },
  },
  {
    does: 'with a token in its old place',
    call: (api, { on }) =>
      api.downloadFile({ repo: 'owner/secret', path: 'a.txt', credentials: { accessToken: TOKEN }, ...on }),
  },
  {
    does: 'a private file with a token',
    call: async (api, { on }) => (await blob(api, 'a.txt', { repo: 'owner/secret', accessToken: TOKEN, ...on })).text(),
  },
  {
    does: 'a private file without a token',
    call: (api, { on }) => api.downloadFile({ repo: 'owner/secret', path: 'a.txt', ...on }),
  },
  { does: 'no such file', call: (api, { on }) => api.downloadFile({ repo, path: 'nope.bin', ...on }) },
  { does: 'a folder', call: (api, { on }) => api.downloadFile({ repo, path: 'sub', ...on }) },
  { does: 'no path', call: (api, { on }) => api.downloadFile({ repo, path: '', ...on }) },
  { does: 'no such repository', call: (api, { on }) => api.downloadFile({ repo: 'owner/none', path: 'a', ...on }) },
  {
    does: 'no such repository, for somebody',
    call: (api, { on }) => api.downloadFile({ repo: 'owner/none', path: 'a', accessToken: TOKEN, ...on }),
  },
  {
    does: 'no such revision',
    call: (api, { on }) => api.downloadFile({ repo, path: 'config.json', revision: 'nope', ...on }),
  },
  { does: 'no repository at all', call: (api, { on }) => api.downloadFile({ repo: 'a/b/c/d', path: 'a', ...on }) },
  {
    does: "a model with 'models/'",
    call: (api, { on }) => api.downloadFile({ repo: 'models/owner/model', path: 'a', ...on }),
  },
  {
    does: "a dataset with 'dataset/'",
    call: (api, { on }) => api.downloadFile({ repo: 'dataset/owner/data', path: 'a', ...on }),
  },
];

const infos: Row[] = [
  { does: 'of a small file', call: (api, { on }) => api.fileDownloadInfo({ repo, path: 'config.json', ...on }) },
  { does: 'of a Xet file', call: (api, { on }) => api.fileDownloadInfo({ repo, path: 'big.bin', ...on }) },
  { does: 'of a pointer', call: (api, { on }) => api.fileDownloadInfo({ repo, path: 'big.bin', raw: true, ...on }) },
  {
    does: 'for an iframe',
    call: (api, { on }) => api.fileDownloadInfo({ repo, path: 'big.bin', noContentDisposition: true, ...on }),
  },
  { does: 'of an empty file', call: (api, { on }) => api.fileDownloadInfo({ repo, path: 'empty.txt', ...on }) },
  {
    does: 'at a commit',
    call: (api, { on, first }) => api.fileDownloadInfo({ repo, path: 'config.json', revision: first, ...on }),
  },
  {
    does: 'of a dataset',
    call: (api, { on }) => api.fileDownloadInfo({ repo: 'datasets/owner/data', path: 'rows.bin', ...on }),
  },
  { does: 'of no file', call: (api, { on }) => api.fileDownloadInfo({ repo, path: 'nope', ...on }) },
  {
    does: 'of no repository',
    call: (api, { on }) => api.fileDownloadInfo({ repo: 'owner/none', path: 'nope', ...on }),
  },
  {
    does: 'of no revision',
    call: (api, { on }) => api.fileDownloadInfo({ repo, path: 'config.json', revision: 'nope', ...on }),
  },
];

const lists: Row[] = [
  { does: 'the root', call: (api, { on }) => all(api.listFiles({ repo, ...on })) },
  { does: 'everything', call: (api, { on }) => all(api.listFiles({ repo, recursive: true, ...on })) },
  { does: 'a folder', call: (api, { on }) => all(api.listFiles({ repo, path: 'sub', ...on })) },
  {
    does: 'with last commits',
    call: (api, { on }) => all(api.listFiles({ repo, recursive: true, expand: true, ...on })),
  },
  { does: 'at a commit', call: (api, { on, first }) => all(api.listFiles({ repo, revision: first, ...on })) },
  {
    does: 'page by page',
    call: async (api, { on }) =>
      (await all(api.listFiles({ repo: 'datasets/owner/many', recursive: true, ...on }))).length,
  },
  {
    does: 'the first one only',
    call: async (api, { on }) => {
      for await (const entry of api.listFiles({ repo, recursive: true, ...on })) return entry.path;
      return undefined;
    },
  },
  {
    does: 'to find files by their ending',
    call: async (api, { on }) =>
      (await all(api.listFiles({ repo, recursive: true, ...on })))
        .filter(({ path }) => path.endsWith('.bin'))
        .map(({ path, lfs }) => [path, lfs?.oid]),
  },
  {
    does: 'to add up sizes',
    call: async (api, { on }) =>
      (await all(api.listFiles({ repo, recursive: true, ...on }))).reduce((sum, { size }) => sum + size, 0),
  },
  { does: 'no such folder', call: (api, { on }) => all(api.listFiles({ repo, path: 'nope', ...on })) },
  { does: 'a file', call: (api, { on }) => all(api.listFiles({ repo, path: 'config.json', ...on })) },
  { does: 'no such repository', call: (api, { on }) => all(api.listFiles({ repo: 'owner/none', ...on })) },
  {
    does: 'paths: some',
    call: (api, { on }) => api.pathsInfo({ repo, paths: ['config.json', 'big.bin', 'sub', 'nope'], ...on }),
  },
  {
    does: 'paths: with last commits',
    call: async (api, { on }) => {
      const found = await api.pathsInfo({ repo, paths: ['config.json', 'big.bin'], expand: true, ...on });
      return found.map(({ path, lastCommit, securityFileStatus }) => [
        path,
        lastCommit.date instanceof Date,
        lastCommit.title,
        securityFileStatus.status,
      ]);
    },
  },
  { does: 'paths: none', call: (api, { on }) => api.pathsInfo({ repo, paths: [], ...on }) },
  {
    does: 'paths: of no repository',
    call: (api, { on }) => api.pathsInfo({ repo: 'owner/none', paths: ['a'], ...on }),
  },
  {
    does: 'paths: of no revision',
    call: (api, { on }) => api.pathsInfo({ repo, revision: 'nope', paths: ['a'], ...on }),
  },
  { does: 'exists: a file', call: (api, { on }) => api.fileExists({ repo, path: 'big.bin', ...on }) },
  { does: 'exists: no file', call: (api, { on }) => api.fileExists({ repo, path: 'nope', ...on }) },
  { does: 'exists: a folder', call: (api, { on }) => api.fileExists({ repo, path: 'sub', ...on }) },
  {
    does: 'exists: at a commit',
    call: (api, { on, first }) => api.fileExists({ repo, path: 'other.bin', revision: first, ...on }),
  },
  {
    does: 'exists: of no revision',
    call: (api, { on }) => api.fileExists({ repo, path: 'a', revision: 'nope', ...on }),
  },
  { does: 'exists: of no repository', call: (api, { on }) => api.fileExists({ repo: 'owner/none', path: 'a', ...on }) },
];

const caches: Row[] = [
  {
    does: 'a Xet file',
    call: (api, { on, cacheDir, last }) =>
      api.downloadFileToCacheDir({ repo, path: 'big.bin', revision: last, cacheDir, ...on }),
  },
  {
    does: 'a small file, and its content',
    call: async (api, { on, cacheDir, last }) =>
      readFile(
        await api.downloadFileToCacheDir({ repo, path: 'config.json', revision: last, cacheDir, ...on }),
        'utf8',
      ),
  },
  {
    does: 'a file that is there costs nothing',
    call: async (api, { on, cacheDir, last, asked }) => {
      await api.downloadFileToCacheDir({ repo, path: 'big.bin', revision: last, cacheDir, ...on });
      const before = asked().filter((kind) => kind === 'xorb').length;
      const path = await api.downloadFileToCacheDir({ repo, path: 'big.bin', revision: last, cacheDir, ...on });
      return [path, asked().filter((kind) => kind === 'xorb').length - before];
    },
  },
  {
    does: 'a whole repository',
    call: async (api, { on, cacheDir }) => {
      const folder = await api.snapshotDownload({ repo, cacheDir, ...on });
      return { folder, content: await folderContent(folder) };
    },
  },
  {
    does: 'a whole dataset',
    call: (api, { on, cacheDir }) => api.snapshotDownload({ repo: 'datasets/owner/data', cacheDir, ...on }),
  },
  {
    does: 'a repository at a commit',
    call: async (api, { on, cacheDir, first }) => {
      const folder = await api.snapshotDownload({ repo, revision: first, cacheDir, ...on });
      return { folder, content: await folderContent(folder) };
    },
  },
  {
    does: 'a repository twice',
    call: async (api, { on, cacheDir, asked }) => {
      await api.snapshotDownload({ repo: 'datasets/owner/data', cacheDir, ...on });
      const before = asked().filter((kind) => kind === 'xorb').length;
      const folder = await api.snapshotDownload({ repo: 'datasets/owner/data', cacheDir, ...on });
      return [folder, asked().filter((kind) => kind === 'xorb').length - before];
    },
  },
  {
    does: 'a repository of no revision',
    call: (api, { on, cacheDir }) => api.snapshotDownload({ repo, revision: 'nope', cacheDir, ...on }),
  },
  {
    does: 'what is in the folder',
    call: async (api, { on, cacheDir }) => {
      await api.snapshotDownload({ repo: 'datasets/owner/data', cacheDir, ...on });
      const { repos, size, warnings } = await api.scanCacheDir(cacheDir);
      return { repos, size, warnings };
    },
  },
  {
    does: 'what is of one repository',
    call: async (api, { on, cacheDir }) => {
      const folder = await api.snapshotDownload({ repo: 'datasets/owner/data', cacheDir, ...on });
      const { id, path, filesCount } = await api.scanCachedRepo(join(folder, '../..'));
      return { id, path, filesCount };
    },
  },
  {
    does: 'what is in a folder that is not there',
    call: (api, { cacheDir }) => api.scanCacheDir(join(cacheDir, 'nope')),
  },
  {
    does: 'names of folders',
    call: (api) => [
      api.getRepoFolderName({ type: 'dataset', name: 'a/b' }),
      api.getRepoFolderName({ type: 'model', name: 'gpt2' }),
      api.REPO_ID_SEPARATOR,
    ],
  },
  {
    does: 'types of folders',
    call: (api) => ['models', 'datasets', 'spaces'].map((plural) => api.parseRepoType(plural)),
  },
  { does: 'no type of folders', call: (api) => api.parseRepoType('things') },
  { does: 'where the folder is', call: (api) => api.getHFHubCachePath() },
  {
    does: 'constants',
    call: ({ HUB_URL, DEFAULT_REVISION, REGEX_COMMIT_HASH }) => [
      HUB_URL,
      DEFAULT_REVISION,
      REGEX_COMMIT_HASH.test('0'.repeat(40)),
      REGEX_COMMIT_HASH.test('main'),
    ],
  },
];

const accessToken = TOKEN;
const manage: Row[] = [
  { does: 'who somebody is', call: (api, { on }) => api.whoAmI({ accessToken, ...on }) },
  { does: 'a repository that exists', call: (api, { on }) => api.repoExists({ repo, ...on }) },
  { does: 'a revision that exists', call: (api, { on }) => api.repoExists({ repo, revision: 'feature/x', ...on }) },
  { does: 'a repository that does not', call: (api, { on }) => api.repoExists({ repo: 'owner/none', ...on }) },
  { does: 'access', call: (api, { on }) => api.checkRepoAccess({ repo, ...on }) },
  { does: 'no access', call: (api, { on }) => api.checkRepoAccess({ repo: 'owner/none', ...on }) },
  { does: 'commits', call: (api, { on }) => all(api.listCommits({ repo, ...on })) },
  {
    does: 'commits, one a page',
    call: async (api, { on }) => (await all(api.listCommits({ repo, batchSize: 1, ...on }))).map(({ title }) => title),
  },
  {
    does: 'a new repository',
    call: async (api, { on, mine }) => (await api.createRepo({ repo: `${mine}-new`, accessToken, ...on })).repoUrl,
  },
  {
    does: 'a repository that is there',
    call: (api, { on, mine }) => api.createRepo({ repo: mine, accessToken, ...on }),
  },
  {
    does: 'a repository without an owner',
    call: (api, { on }) => api.createRepo({ repo: 'bare', accessToken, ...on }),
  },
  {
    does: 'a branch, made and removed',
    call: async (api, { on, mine }) => {
      const wanted = { repo: mine, branch: 'a/b', accessToken, ...on };
      await api.createBranch(wanted);
      await api.deleteBranch(wanted);
      // It could not be made again while it is there.
      await api.createBranch(wanted);
    },
  },
  {
    does: 'a branch that is there',
    call: (api, { on, mine }) => api.createBranch({ repo: mine, branch: 'main', accessToken, ...on }),
  },
  {
    does: 'a branch over one that is there',
    call: (api, { on, mine }) => api.createBranch({ repo: mine, branch: 'main', overwrite: true, accessToken, ...on }),
  },
  {
    does: 'the end of a repository',
    call: async (api, { on, mine }) => {
      await api.deleteRepo({ repo: mine, accessToken, ...on });
      return api.repoExists({ repo: mine, ...on });
    },
  },
];

export const tables = {
  downloadFile: downloads,
  fileDownloadInfo: infos,
  'lists and paths': lists,
  'the cache folder': caches,
  repositories: manage,
};
export { accessToken, blob, repo };
