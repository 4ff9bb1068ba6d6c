import { isXetError, XetError } from '../core/errors.ts';
import type { Place, RepoStore } from '../files/place.ts';
import type { Http } from '../http/http.ts';
import { isOffline } from '../http/tries.ts';
import type { HubClient, ResolvedFile } from '../hub/client.ts';
import { checkPath, isCommit, repoText, resolveUrl } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import { ATTEMPTS_WITH_A_COPY, AWAY, REFUSED, withCopy } from './contents.ts';

export interface LocateParts {
  http: Http;
  hub: HubClient;
  store: RepoStore;
  /** True if no server may be contacted. */
  offline: boolean;
  onWarning: (message: string) => void;
}

export interface Wanted {
  repo: RepoId;
  revision: string;
  path: string;
  /** True if local copies are ignored. */
  force: boolean;
  signal: AbortSignal;
}

export interface Located {
  file: ResolvedFile;
  place: Place;
  /** True if the Hub was asked. */
  asked: boolean;
}

/**
 * Resolves a path at a revision. A file that is local at a given commit costs no request, and one that is local at the
 * last known commit of a branch is used while the Hub cannot be reached.
 */
export async function locate(parts: LocateParts, wanted: Wanted): Promise<Located> {
  const { store, offline } = parts;
  const { repo, revision, force } = wanted;
  if (offline || (isCommit(revision) && !force)) {
    const here = await atLastCommit(parts, wanted);
    if (here) return here;
    if (offline) throw await notHere(store, wanted);
  }
  if (!force && isOffline()) {
    const here = await atLastCommit(parts, wanted);
    if (here) return withoutHub(parts, wanted, here, 'this device is offline');
  }
  const isKnown = !force && (await store.commitOf(repo, revision)) !== undefined;
  return ask(parts, wanted, isKnown ? ATTEMPTS_WITH_A_COPY : undefined);
}

async function ask(parts: LocateParts, wanted: Wanted, attempts: number | undefined): Promise<Located> {
  const { hub, store, http } = parts;
  const { repo, revision, path, force, signal } = wanted;
  try {
    // Of a repository that was never fetched from, the content is wanted for sure.
    const beginning = attempts === undefined;
    const file = await hub.resolve(repo, revision, path, { signal, http, beginning, attempts, waits: true });
    return { file, place: store.place(file, revision), asked: true };
  } catch (error) {
    if (isXetError(error, 'ENTRY_NOT_FOUND') && error.commit) {
      await store.noteMissing(repo, error.commit, path);
      // Else nobody would know later of which commit the note about a branch is.
      await store.noteCommit(repo, revision, error.commit);
    }
    if (force || signal.aborted || !isXetError(error, ...AWAY, ...REFUSED)) throw error;
    const here = await atLastCommit(parts, wanted);
    if (isXetError(error, ...REFUSED)) throw here ? withCopy(error, repo, here.file.commit) : error;
    if (here) return withoutHub(parts, wanted, here, error.message);
    if (attempts === undefined) throw error;
    return ask(parts, wanted, undefined);
  }
}

function withoutHub({ onWarning }: LocateParts, { path }: Wanted, here: Located, reason: string): Located {
  onWarning(
    `The Hub cannot be asked for '${path}' (${reason}); using the copy that is here, of commit ${here.file.commit}.`,
  );
  return here;
}

/** The file as it is here, if it is right. */
async function atLastCommit({ hub, store }: LocateParts, wanted: Wanted): Promise<Located | undefined> {
  const { repo, revision, path, signal } = wanted;
  const commit = await store.commitOf(repo, revision);
  const held = commit === undefined ? undefined : await store.find(repo, commit, path);
  if (commit === undefined || !held) return undefined;
  const listed = (await store.tree(repo, commit))?.find((entry) => entry.path === path);
  const etag = held.etag || (listed?.sha256 ?? listed?.oid);
  if (etag === undefined) return undefined;
  const file = {
    repo,
    path: checkPath(path),
    size: held.size,
    etag,
    commit,
    xetHash: listed?.xetHash,
    url: resolveUrl(hub.endpoint, repo, commit, path),
    tokenUrl: hub.tokenUrl(repo, commit),
  };
  const place = store.place(file, revision);
  return (await place.existing(signal)) && { file, place, asked: false };
}

async function notHere(store: RepoStore, { repo, revision, path }: Wanted): Promise<XetError> {
  const where = `${repoText(repo)} at '${revision}'`;
  const commit = await store.commitOf(repo, revision);
  if (commit !== undefined && (await store.knownMissing(repo, commit, path)))
    return new XetError('ENTRY_NOT_FOUND', `No file '${path}' in ${where}, as the Hub once said.`);
  return new XetError(
    'OFFLINE',
    `'${path}' of ${where} is not on this machine, and no server may be asked: fetch it once while online.`,
  );
}
