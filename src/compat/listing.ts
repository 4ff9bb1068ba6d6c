import { textsOf } from '../core/arguments.ts';
import { isCount, isRecord } from '../core/json-values.ts';
import { countOf } from '../hub/entries.ts';
import { apiUrl, DEFAULT_REVISION, givenFolder } from '../hub/repo.ts';
import { CompatHttp, type RequestParams } from './compat-http.ts';
import { InvalidApiResponseFormatError } from './errors.ts';
import { fileUrl, isPath } from './paths.ts';
import type { CompatPlatform } from './platform.ts';
import { repoOf } from './repo.ts';
import type { CompatRepoDesignation, ExpandedPathInfo, FileParams, ListFileEntry, PathInfo } from './types.ts';

/** Paths in one question, so that no server finds its body too large. */
const PATHS_AT_ONCE = 500;

export type ListFilesParams = RequestParams & {
  repo: CompatRepoDesignation;
  recursive?: boolean;
  path?: string;
  expand?: boolean;
  revision?: string;
};

/** The entries of a folder, page by page as they are asked for, with all that the Hub says of them. */
export async function* listFiles(
  _platform: CompatPlatform,
  params: ListFilesParams,
): AsyncGenerator<ListFileEntry, void, undefined> {
  const { recursive = false, expand = false, revision = DEFAULT_REVISION } = params;
  const door = new CompatHttp(params);
  const folder = givenFolder(params.path);
  const base = apiUrl(door.hubUrl, repoOf(params.repo), 'tree', revision, ...(folder === undefined ? [] : [folder]));
  const first = `${base}?recursive=${recursive}&expand=${expand}`;
  for await (const page of door.pages(first, (body) => entriesOf(body, base))) yield* page as ListFileEntry[];
}

export type PathsInfoParams = RequestParams & {
  repo: CompatRepoDesignation;
  paths: string[];
  expand?: boolean;
  revision?: string;
};

/** Entries of some paths; missing paths are omitted. */
export async function pathsInfo(_platform: CompatPlatform, params: PathsInfoParams): Promise<ExpandedPathInfo[]> {
  const { expand, revision = DEFAULT_REVISION } = params;
  const paths = textsOf(params.paths, 'paths') ?? [];
  const door = new CompatHttp(params);
  const url = apiUrl(door.hubUrl, repoOf(params.repo), 'paths-info', revision);
  const found: ExpandedPathInfo[] = [];
  for (let at = 0; at < paths.length || at === 0; at += PATHS_AT_ONCE) {
    const json = { paths: paths.slice(at, at + PATHS_AT_ONCE), expand };
    const { body } = await door.json({ url, method: 'POST', headers: { accept: 'application/json' }, json });
    for (const entry of entriesOf(body, url)) found.push(pathInfo(entry));
  }
  return found;
}

function pathInfo(entry: Entry): ExpandedPathInfo {
  const { path, type, oid, size, lfs, xetHash, uploadedAt, securityFileStatus, lastCommit } = entry as Entry & PathInfo;
  const commit = isRecord(lastCommit) && { ...lastCommit, date: new Date(String(lastCommit.date)) };
  return {
    path,
    lfs,
    type,
    oid,
    size,
    xetHash,
    uploadedAt,
    securityFileStatus,
    lastCommit: commit || undefined,
  } as ExpandedPathInfo;
}

interface Entry {
  path: string;
  type: string;
  size: number;
}

/** Entries as they are; whatever else is in the list is passed over, and sizes are numbers. */
function entriesOf(body: unknown, url: string): Entry[] {
  const entries: Entry[] = [];
  for (const item of Array.isArray(body) ? (body as unknown[]) : []) {
    if (!isRecord(item) || typeof item.path !== 'string' || typeof item.type !== 'string') continue;
    entries.push(
      isCount(item.size)
        ? (item as unknown as Entry)
        : ({ ...item, size: countOf(item.size) ?? 0 } as unknown as Entry),
    );
  }
  if (Array.isArray(body) && (body.length === 0 || entries.length > 0)) return entries;
  throw new InvalidApiResponseFormatError(`${url} did not answer with a list of entries`);
}

export type FileExistsParams = FileParams & RequestParams;

/** True if the file exists. False if the revision does not exist; rejects if the repository does not. */
export async function fileExists(_platform: CompatPlatform, params: FileExistsParams): Promise<boolean> {
  const { path, revision = DEFAULT_REVISION } = params;
  const repo = repoOf(params.repo);
  if (!isPath(path)) return false;
  const door = new CompatHttp(params);
  // What git stores is enough to know, and it redirects nowhere.
  const url = fileUrl(door.hubUrl, repo, revision, path, true);
  const { status } = await door.head({ url, method: 'HEAD' }, [404]);
  return status !== 404;
}
