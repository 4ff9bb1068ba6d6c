import { isHashHex } from '../core/hash.ts';
import { isCount, isRecord } from '../core/json-values.ts';
import { parseContentRange } from '../http/content-range.ts';
import { readJson } from '../http/json.ts';
import type { Reply } from '../http/types.ts';
import { contentIdOf, HubClient, isContentId, type ResolvedFile } from '../hub/client.ts';
import { onEndpoint, parseLinks } from '../hub/links.ts';
import { apiUrl, checkPath, DEFAULT_REVISION, isCommit, resolveUrl } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import { CompatHttp, type RequestParams } from './compat-http.ts';
import { InvalidApiResponseFormatError } from './errors.ts';
import { pathsInfo } from './listing.ts';
import { fileUrl, isPath } from './paths.ts';
import type { CompatPlatform } from './platform.ts';
import { repoOf } from './repo.ts';
import type { FileDownloadInfoOutput, FileParams } from './types.ts';

export type FileDownloadInfoParams = FileParams &
  RequestParams & {
    /** Fetches the content that git stores; for a large file, its pointer. */
    raw?: boolean;
    /** An address that a browser shows in place of saving what is there. */
    noContentDisposition?: boolean;
  };

/** Information about a file for the caller, and for reading it. */
export interface FoundFile {
  info: FileDownloadInfoOutput;
  file: ResolvedFile;
}

const FILE_INFO_TYPE = 'application/vnd.xet-fileinfo+json';
const FILE_INFO_LIMIT_BYTES = 64 * 1024;

export async function fileDownloadInfo(
  platform: CompatPlatform,
  params: FileDownloadInfoParams,
): Promise<FileDownloadInfoOutput | null> {
  return (await findFile(platform, params))?.info ?? null;
}

/** One question about a file, and more only where redirects hide the answer. Undefined where there is no such file. */
export async function findFile(
  platform: CompatPlatform,
  params: FileDownloadInfoParams,
): Promise<FoundFile | undefined> {
  const { path, raw = false, revision = DEFAULT_REVISION, noContentDisposition = false } = params;
  const repo = repoOf(params.repo);
  if (!isPath(path)) return undefined;
  const door = new CompatHttp(params);
  const address = fileUrl(door.hubUrl, repo, revision, path, raw);
  const url = noContentDisposition ? `${address}?noContentDisposition=1` : address;
  const headers = { accept: raw ? '*/*' : `${FILE_INFO_TYPE}, */*`, range: 'bytes=0-0' };
  const { reply, body } = await door.take({ url, headers }, [404, 416], async (answer) => {
    const isInfo = answer.headers.get('content-type')?.startsWith(FILE_INFO_TYPE);
    if (isInfo && answer.status < 400) return { reply: answer, body: await readJson(answer, FILE_INFO_LIMIT_BYTES) };
    if (answer.status === 404 && answer.headers.get('x-error-code') !== 'EntryNotFound') await door.refuse(answer, url);
    answer.drop();
    return { reply: answer, body: undefined };
  });
  if (reply.status === 404) return undefined;
  const asked = { platform, params, door, repo, revision, path, url, raw };
  return (await (body === undefined ? plainFile(asked, reply) : undefined)) ?? xetFile(asked, reply, body);
}

interface Asked {
  platform: CompatPlatform;
  params: FileDownloadInfoParams;
  door: CompatHttp;
  repo: RepoId;
  revision: string;
  path: string;
  url: string;
  raw: boolean;
}

function xetFile(asked: Asked, { headers, url: answered }: Reply, body: unknown): FoundFile {
  const { door, repo, path, url } = asked;
  const said = isRecord(body) ? body : {};
  const links = parseLinks(headers.get('link'));
  const hash = said.hash ?? headers.get('x-xet-hash');
  const size = said.size ?? numberOf(headers.get('x-linked-size'));
  const etag = said.etag ?? headers.get('x-linked-etag') ?? headers.get('etag');
  const refreshUrl = textOf(said.refreshUrl) ?? links['xet-auth'];
  const reconstructionUrl = textOf(said.reconstructionUrl) ?? links['xet-reconstruction-info'];
  const commit = headers.get('x-repo-commit') ?? commitIn(refreshUrl);
  const known = isHashHex(hash) && isCount(size) && typeof etag === 'string' && isContentId(plainEtag(etag));
  if (!known || !refreshUrl || !reconstructionUrl || !URL.canParse(refreshUrl) || !URL.canParse(reconstructionUrl)) {
    throw new InvalidApiResponseFormatError(`${url} did not answer with all that a Xet download needs`);
  }
  const tokenUrl = onEndpoint(door.hubUrl, refreshUrl) ?? apiUrl(door.hubUrl, repo, 'xet-read-token', commit ?? 'main');
  return {
    info: {
      size,
      etag: quoted(etag),
      xet: { hash, refreshUrl: new URL(refreshUrl), reconstructionUrl: new URL(reconstructionUrl) },
      url: answered || url,
    },
    file: {
      repo,
      path: checkPath(path),
      size,
      etag: plainEtag(etag),
      commit: commit ?? '',
      xetHash: hash,
      url: contentUrl(asked, commit),
      tokenUrl,
    },
  };
}

/** Undefined where the answer is about a Xet file after all, as a proxy may leave only its headers. */
async function plainFile(asked: Asked, reply: Reply): Promise<FoundFile | undefined> {
  const { headers, status, url: answered } = reply;
  const { door, repo, path, url, raw, revision } = asked;
  if (!raw && isHashHex(headers.get('x-xet-hash')) && headers.get('link')?.includes('xet-auth')) return undefined;
  const size =
    (raw ? undefined : numberOf(headers.get('x-linked-size'))) ??
    totalOf(headers.get('content-range')) ??
    (status === 200 ? numberOf(headers.get('content-length')) : undefined);
  const linkedTag = raw ? null : headers.get('x-linked-etag');
  const etag = linkedTag ?? headers.get('etag');
  const contentId = contentIdOf(linkedTag, etag);
  const commit = headers.get('x-repo-commit');
  const found = { repo, path: checkPath(path), xetHash: undefined, tokenUrl: '', url: contentUrl(asked, commit) };
  if (isCount(size) && etag !== null && contentId !== undefined) {
    const file = { ...found, size, etag: contentId, commit: commit ?? '' };
    return { info: { size, etag: quoted(etag), xet: undefined, url: answered || url }, file };
  }
  // A redirect to another host has hidden what the Hub said, or it was no hash by which content is checked.
  if (raw) {
    const [entry] = await pathsInfo(asked.platform, { ...asked.params, paths: [path] });
    if (!isCount(size) || entry?.oid === undefined) throw new InvalidApiResponseFormatError(`${url} says too little`);
    const file = { ...found, size, etag: entry.oid, commit: commit ?? '' };
    return { info: { size, etag: quoted(entry.oid), xet: undefined, url: answered || url }, file };
  }
  const { http, hubUrl, accessToken } = door;
  const file = await new HubClient(http, { endpoint: hubUrl, accessToken }).resolve(repo, revision, path, {
    signal: asked.params.signal,
  });
  const info = { size: file.size, etag: quoted(file.etag), xet: undefined, url: answered || url };
  return { info, file: { ...file, xetHash: undefined } };
}

/** The file that an earlier {@link fileDownloadInfo} spoke of, without asking again. */
export function fileOfInfo(params: FileDownloadInfoParams, info: FileDownloadInfoOutput): ResolvedFile {
  const { path, revision = DEFAULT_REVISION, raw = false } = params;
  const repo = repoOf(params.repo);
  const hubUrl = new CompatHttp(params).hubUrl;
  const xet = raw ? undefined : info.xet;
  // It may have been sent as JSON, which knows no addresses.
  const refreshUrl = xet && String(xet.refreshUrl);
  const commit = isCommit(revision) ? revision : (commitIn(refreshUrl) ?? '');
  const etag = plainEtag(info.etag);
  if (!isCount(info.size) || (xet && !isHashHex(xet.hash))) {
    throw new InvalidApiResponseFormatError(`downloadInfo is not what fileDownloadInfo gave for '${path}'`);
  }
  return {
    repo,
    path: checkPath(path),
    size: info.size,
    etag,
    commit,
    xetHash: xet?.hash,
    url: xet ? resolveUrl(hubUrl, repo, commit || revision, path) : info.url,
    tokenUrl: xet
      ? (onEndpoint(hubUrl, refreshUrl ?? '') ?? apiUrl(hubUrl, repo, 'xet-read-token', commit || revision))
      : '',
  };
}

/** URL of the content at the resolved commit, so that a later commit does not mix in. */
function contentUrl({ door, repo, revision, path, raw }: Asked, commit: string | null | undefined): string {
  const pinned = commit && isCommit(commit) ? commit : revision;
  return fileUrl(door.hubUrl, repo, pinned, path, raw);
}

function commitIn(refreshUrl: string | undefined): string | undefined {
  return /\/xet-read-token\/([0-9a-f]{40})(?:[/?#]|$)/.exec(refreshUrl ?? '')?.[1];
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function plainEtag(etag: string): string {
  return etag.replace(/^W\//, '').replace(/^"|"$/g, '');
}

function quoted(etag: string): string {
  return etag.endsWith('"') ? etag : `"${etag}"`;
}

function numberOf(text: string | null): number | undefined {
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
}

function totalOf(contentRange: string | null): number | undefined {
  return parseContentRange(contentRange)?.total ?? numberOf(/^bytes \*\/(\d+)$/.exec(contentRange ?? '')?.[1] ?? null);
}
