import { isHashHex } from '../core/hash.ts';
import { isCount, isRecord } from '../core/json-values.ts';
import type { Http } from '../http/http.ts';
import { LIST_JSON_BYTES } from '../http/json.ts';
import { revisionUrl } from './repo.ts';
import type { RepoId } from './types.ts';
import { incomplete, type ListEntry } from './types.ts';

/** An entry as the Hub gives it: some servers leave out sizes. */
export type FoundEntry = Omit<ListEntry, 'size'> & { size: number | undefined };

/** Entries of an answer. */
export interface FoundEntries {
  entries: FoundEntry[];
  /** Path of one that is neither a file nor a folder, if there is any: a submodule of git, or what is not known yet. */
  other: string | undefined;
}

/** Requests to a Hub with the caller's token. */
export interface HubRequests {
  readonly endpoint: string;
  readonly http: Http;
  headers(): Promise<Record<string, string>>;
}

/** Limit of ECMAScript dates; no file is older or newer. */
const MAX_TIME_MS = 8.64e15;
/** Paths in one question about paths, so that no server finds its body too large. */
const PATHS_AT_ONCE = 500;

/** The entries of some paths; what does not exist is left out. */
export async function pathsInfo(
  hub: HubRequests,
  repo: RepoId,
  revision: string,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<FoundEntry[]> {
  const url = revisionUrl(hub.endpoint, repo, 'paths-info', revision);
  const found: FoundEntry[] = [];
  for (let at = 0; at < paths.length; at += PATHS_AT_ONCE) {
    const spec = {
      kind: 'hub',
      url,
      method: 'POST',
      headers: { ...(await hub.headers()), 'content-type': 'application/json' },
      body: JSON.stringify({
        paths: paths.slice(at, at + PATHS_AT_ONCE),
        ...(repo.type !== 'bucket' && { expand: false }),
      }),
      signal,
    } as const;
    const { body } = await hub.http.json(spec, LIST_JSON_BYTES);
    for (const entry of readEntries(body, url).entries) found.push(entry);
  }
  return found;
}

/** The files and folders in an answer of the Hub. Anything else is passed over: it must not fail the rest. */
export function readEntries(body: unknown, url: string): FoundEntries {
  if (!Array.isArray(body)) throw incomplete(url, 'a list of entries');
  const found: FoundEntries = { entries: [], other: undefined };
  for (const item of body as unknown[]) {
    const entry = isRecord(item) ? item : {};
    const { path, type, oid, size } = entry;
    if (typeof path !== 'string') continue;
    if (type !== 'file' && type !== 'directory') {
      found.other ??= path;
      continue;
    }
    const lfs = isRecord(entry.lfs) ? entry.lfs : undefined;
    found.entries.push({
      path,
      type,
      size: type === 'directory' ? 0 : (countOf(lfs?.size) ?? countOf(size)),
      oid: typeof oid === 'string' ? oid : '',
      sha256: typeof lfs?.oid === 'string' ? lfs.oid : undefined,
      xetHash: isHashHex(entry.xetHash) ? entry.xetHash : undefined,
      ...timeOf(entry.mtime),
    });
  }
  if (body.length > 0 && found.entries.length === 0 && found.other === undefined) {
    throw incomplete(url, 'a list of entries');
  }
  return found;
}

/** Servers write times in ISO 8601; clients send milliseconds since 1970. */
function timeOf(value: unknown): { mtimeMs?: number } {
  const mtimeMs = typeof value === 'string' ? Date.parse(value) : value;
  return typeof mtimeMs === 'number' && Math.abs(mtimeMs) <= MAX_TIME_MS ? { mtimeMs } : {};
}

/** A number of bytes, also one that is written as a text. */
export function countOf(value: unknown): number | undefined {
  const count = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  return isCount(count) ? count : undefined;
}
