import { publicUrl, XetError } from '../errors.ts';
import { type HubClient, isContentId, type ResolvedFile } from './client.ts';
import { incomplete, type ListEntry, readEntries } from './entries.ts';
import { parseLinks } from './links.ts';
import { apiUrl, type RepoId, resolveUrl } from './repo.ts';

export interface ListingOptions {
  path?: string | undefined;
  recursive?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** The entries under a folder, page by page as they are asked for. */
export async function* listEntries(
  hub: HubClient,
  repo: RepoId,
  revision: string,
  options: ListingOptions = {},
): AsyncGenerator<ListEntry, void, undefined> {
  const folder = options.path ? [options.path] : [];
  let url: string | undefined =
    `${apiUrl(hub.endpoint, repo, 'tree', revision, ...folder)}?recursive=${options.recursive ?? false}&expand=false`;
  const seen = new Set<string>();
  while (url !== undefined) {
    if (seen.has(url)) throw new XetError('PROTOCOL', `${publicUrl(url)} lists in a circle.`, { url });
    seen.add(url);
    const { body, reply } = await hub.http.json({
      kind: 'hub',
      url,
      headers: await hub.headers(),
      signal: options.signal,
    });
    const next = hub.onEndpoint(parseLinks(reply.headers.get('link')).next);
    yield* readEntries(body, url);
    url = next;
  }
}

/** What the Hub would say of a file that was listed at a commit, without asking. */
export function fileOf(hub: HubClient, repo: RepoId, commit: string, entry: ListEntry): ResolvedFile {
  const { path, size, xetHash } = entry;
  const url = resolveUrl(hub.endpoint, repo, commit, path);
  const etag = entry.sha256 ?? entry.oid;
  // Files are named after it, and their content is checked by it.
  if (!isContentId(etag)) throw incomplete(url, 'the sha1 or sha256 of its content');
  return { repo, path, size, etag, commit, xetHash, url, tokenUrl: hub.tokenUrl(repo, commit) };
}
