import { publicUrl, XetError } from '../core/errors.ts';
import { LIST_JSON_BYTES } from '../http/json.ts';
import type { HubClient } from './client.ts';
import { type FoundEntry, readEntries } from './entries.ts';
import { onEndpoint, parseLinks } from './links.ts';
import { pagesOf } from './pages.ts';
import { apiUrl, repoText } from './repo.ts';
import { type ListEntry, type RepoId, shown } from './types.ts';

/** The largest page that the Hub gives. */
const PAGE_ENTRIES = 5000;

/**
 * The files and folders of a bucket below a folder, page by page. The Hub compares its prefix as text, so `logs/` is
 * asked for instead of `logs`, and whatever else comes is left out.
 *
 * @throws {XetError} `ENTRY_NOT_FOUND` if there is nothing below the folder; an empty bucket is an empty list
 */
export async function* listBucket(
  hub: HubClient,
  repo: RepoId,
  {
    path,
    recursive = false,
    signal,
  }: { path?: string | undefined; recursive?: boolean | undefined; signal?: AbortSignal | undefined },
): AsyncGenerator<ListEntry, void, undefined> {
  let isEmpty = true;
  let isFolder = false;
  for await (const entry of entriesBelow(hub, repo, path, recursive, signal)) {
    if (entry.path === path) isFolder ||= entry.type === 'directory';
    else {
      isEmpty = false;
      yield entry;
    }
  }
  if (!isEmpty || path === undefined) return;
  if (!isFolder) throw new XetError('ENTRY_NOT_FOUND', `There is no folder '${path}' in ${repoText(repo)}.`);
  // A server that lists the folder itself at this level lists its files only with all that is below it.
  const seen = new Set<string>();
  for await (const entry of entriesBelow(hub, repo, path, true, signal)) {
    const [name = '', ...more] = entry.path.slice(path.length + 1).split('/');
    const child = `${path}/${name}`;
    if (name === '' || seen.has(child)) continue;
    seen.add(child);
    yield more.length === 0 ? entry : { ...entry, ...FOLDER, path: child };
  }
}

const FOLDER = { type: 'directory', size: 0, oid: '', sha256: undefined, xetHash: undefined } as const;

async function* entriesBelow(
  hub: HubClient,
  repo: RepoId,
  folder: string | undefined,
  recursive: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListEntry, void, undefined> {
  const prefix = folder === undefined ? [] : [`${folder}/`];
  const first = `${apiUrl(hub.endpoint, repo, 'tree', ...prefix)}?recursive=${recursive}&limit=${PAGE_ENTRIES}`;
  let warned = false;
  const isWhole = (entry: FoundEntry): entry is ListEntry => {
    const { path, type, size, xetHash } = entry;
    const whole = type === 'directory' || (size !== undefined && xetHash !== undefined);
    if (!whole && !warned) {
      hub.warn(
        `'${shown(path)}' of ${repoText(repo)} is left out, and so is all that is like it: the server gives no size and Xet hash.`,
      );
      warned = true;
    }
    return whole;
  };
  const ask = async (url: string) => {
    const spec = { kind: 'hub', url, headers: await hub.headers(), signal } as const;
    const { body, reply } = await hub.http.json(spec, LIST_JSON_BYTES);
    const next = onEndpoint(hub.endpoint, parseLinks(reply.headers.get('link')).next, url);
    return { items: readEntries(body, url).entries, next };
  };
  const failure = (what: string, url: string) => new XetError('PROTOCOL', `${publicUrl(url)} ${what}.`, { url });
  for await (const page of pagesOf(first, ask, failure)) {
    for (const entry of page) {
      const isBelow = folder === undefined || entry.path === folder || entry.path.startsWith(`${folder}/`);
      if (isBelow && isWhole(entry)) yield entry;
    }
  }
}
