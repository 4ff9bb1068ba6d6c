import { publicUrl, XetError } from '../errors.ts';
import { isHashHex } from '../hash.ts';
import { isCount, isRecord } from '../http/json.ts';
import type { HubClient } from './client.ts';
import { apiUrl, type RepoId } from './repo.ts';

/** A file or folder of a repository. */
export interface ListEntry {
  /** Path in the repository. */
  path: string;
  /** Folders have no content of their own. */
  type: 'file' | 'directory';
  /** Bytes; 0 for a directory. */
  size: number;
  /** Git object id. */
  oid: string;
  /** sha256 of the content, for files kept outside of git. */
  sha256: string | undefined;
  /** Undefined for folders, and for files that the Hub keeps in git. */
  xetHash: string | undefined;
}

/** Paths in one question about paths, so that no server finds its body too large. */
const PATHS_AT_ONCE = 500;

/** The entries of some paths; what does not exist is left out. */
export async function pathsInfo(
  hub: HubClient,
  repo: RepoId,
  revision: string,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<ListEntry[]> {
  const url = apiUrl(hub.endpoint, repo, 'paths-info', revision);
  const found: ListEntry[] = [];
  for (let at = 0; at < paths.length; at += PATHS_AT_ONCE) {
    const { body } = await hub.http.json({
      kind: 'hub',
      url,
      method: 'POST',
      headers: { ...(await hub.headers()), 'content-type': 'application/json' },
      body: JSON.stringify({ paths: paths.slice(at, at + PATHS_AT_ONCE), expand: false }),
      signal,
    });
    found.push(...readEntries(body, url));
  }
  return found;
}

/** The entries in an answer of the Hub. */
export function readEntries(body: unknown, url: string): ListEntry[] {
  if (!Array.isArray(body)) throw incomplete(url, 'a list of entries');
  return body.map((item: unknown): ListEntry => {
    const entry = isRecord(item) ? item : {};
    const { path, type, oid } = entry;
    const size = entry.size ?? 0;
    const lfs = isRecord(entry.lfs) ? entry.lfs : undefined;
    if (
      typeof path !== 'string' ||
      (type !== 'file' && type !== 'directory') ||
      !isCount(size) ||
      typeof oid !== 'string'
    ) {
      throw incomplete(url, 'a list of entries');
    }
    return {
      path,
      type,
      size: lfs && isCount(lfs.size) ? lfs.size : size,
      oid,
      sha256: typeof lfs?.oid === 'string' ? lfs.oid : undefined,
      xetHash: isHashHex(entry.xetHash) ? entry.xetHash : undefined,
    };
  });
}

/** An answer lacks what was asked for. */
export function incomplete(url: string, wanted: string): XetError {
  return new XetError('PROTOCOL', `${publicUrl(url)} did not answer with ${wanted}.`, { url });
}
