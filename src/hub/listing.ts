import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import { LIST_JSON_BYTES } from '../http/json.ts';
import { listBucket } from './bucket-listing.ts';
import { type HubClient, isContentId, type ResolvedFile } from './client.ts';
import { type FoundEntry, readEntries } from './entries.ts';
import { onEndpoint, parseLinks } from './links.ts';
import { pagesOf } from './pages.ts';
import { apiUrl, checkPath, repoText, resolveUrl } from './repo.ts';
import type { RepoId } from './types.ts';
import { incomplete, type ListEntry, shown } from './types.ts';

export interface ListingOptions {
  path?: string | undefined;
  recursive?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** The files and folders under a folder, page by page as they are asked for. */
export async function* listEntries(
  hub: HubClient,
  repo: RepoId,
  revision: string,
  options: ListingOptions = {},
): AsyncGenerator<ListEntry, void, undefined> {
  if (repo.type === 'bucket') return yield* listBucket(hub, repo, options);
  const { signal, recursive = false } = options;
  const folder = options.path ? [options.path] : [];
  const first = `${apiUrl(hub.endpoint, repo, 'tree', revision, ...folder)}?recursive=${recursive}&expand=false`;
  let warned = false;
  const warn = (path: string, why: string) => {
    if (!warned) hub.warn(`'${shown(path)}' of ${repoText(repo)} is left out, and so is all that is like it: ${why}.`);
    warned = true;
  };
  const ask = async (url: string) => {
    const spec = { kind: 'hub', url, headers: await hub.headers(), signal } as const;
    const { body, reply } = await hub.http.json(spec, LIST_JSON_BYTES);
    const { entries, other } = readEntries(body, url);
    if (other !== undefined) warn(other, 'it is neither a file nor a folder, but perhaps a submodule of git');
    const next = onEndpoint(hub.endpoint, parseLinks(reply.headers.get('link')).next, url);
    // Entries that were passed over count as well: the page was not empty.
    return { items: other === undefined ? entries : [...entries, undefined], next };
  };
  const failure = (what: string, url: string) => new XetError('PROTOCOL', `${publicUrl(url)} ${what}.`, { url });
  for await (const page of pagesOf(first, ask, failure)) {
    const entries = page.filter((entry) => entry !== undefined);
    const unsized = (path: string) => warn(path, 'the server does not say how long it is');
    yield* withSizes(hub, repo, revision, entries, signal, unsized);
  }
}

/** Entries with their sizes: those that the server left out are asked for, and what has none is passed over. */
export async function* withSizes(
  hub: HubClient,
  repo: RepoId,
  revision: string,
  entries: readonly FoundEntry[],
  signal: AbortSignal | undefined,
  onUnsized?: (path: string) => void,
): AsyncGenerator<ListEntry, void, undefined> {
  for (const entry of entries) {
    const size = entry.size ?? (await sizeOf(hub, repo, revision, entry.path, signal));
    if (size === undefined) onUnsized?.(entry.path);
    else yield { ...entry, size };
  }
}

async function sizeOf(
  hub: HubClient,
  repo: RepoId,
  revision: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  try {
    return (await hub.resolve(repo, revision, path, { signal })).size;
  } catch (error) {
    if (isXetError(error, 'ENTRY_NOT_FOUND', 'PROTOCOL', 'INVALID_ARGUMENT')) return undefined;
    throw error;
  }
}

/** Resolved file of a listed entry at a commit, without a request. */
export function fileOf(hub: HubClient, repo: RepoId, commit: string, entry: ListEntry): ResolvedFile {
  const { path, size, xetHash, mtimeMs } = entry;
  const url = resolveUrl(hub.endpoint, repo, commit, path);
  const etag = repo.type === 'bucket' ? (xetHash ?? '') : (entry.sha256 ?? entry.oid);
  // Files are named after it, and their content is checked by it.
  if (!isContentId(etag)) throw incomplete(url, 'the sha1 or sha256 of its content');
  const tokenUrl = hub.tokenUrl(repo, commit);
  return { repo, path: checkPath(path), size, etag, commit, xetHash, url, tokenUrl, mtimeMs };
}
