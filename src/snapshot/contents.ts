import { isXetError, XetError } from '../core/errors.ts';
import { inParallel } from '../core/in-parallel.ts';
import { explainPatterns, isFolder, nearMiss, reportText, select } from '../core/selection.ts';
import type { HeldFile } from '../files/held-file.ts';
import { isContentId } from '../hub/client.ts';
import { pathsInfo } from '../hub/entries.ts';
import { fileOf, listEntries, withSizes } from '../hub/listing.ts';
import { repoText } from '../hub/repo.ts';
import type { ListEntry, RepoId } from '../hub/types.ts';
import { fittingOf, heldOf, LOOKUPS_AT_ONCE, type Query, requireAll } from './held.ts';
import { printable, some } from './names.ts';

/** Codes of a Hub that cannot be reached just now. */
export const AWAY = ['NETWORK', 'TIMEOUT', 'STALLED', 'SERVER', 'RATE_LIMITED'] as const;
/** Codes of a Hub that lets nobody have what it may once have given: a token has expired, or a repository is private now. */
export const REFUSED = ['UNAUTHORIZED', 'FORBIDDEN', 'GATED', 'REPOSITORY_NOT_FOUND'] as const;
/** Attempts where a local copy may exist: a missing network is not waited for long. */
export const ATTEMPTS_WITH_A_COPY = 2;

export interface Contents {
  commit: string;
  /** Entries among which all are that are wanted. */
  entries: ListEntry[];
  listing?: ListEntry[];
  local: boolean;
  /** The commit that the revision stood for before, whose files may be here. */
  earlier?: string | undefined;
}

/** Asks the Hub; where it cannot be reached, a whole copy that is here serves instead. */
export async function fromHub(query: Query, warn: (warning: string) => void): Promise<Contents> {
  const { repo, revision, hub, store, signal, force } = query;
  const earlier = await store.commitOf(repo, revision);
  const ask = async (attempts?: number): Promise<Contents> => {
    const asked = hub.commitOf(repo, revision, signal, attempts);
    // Who waits for it gets the error.
    asked.catch(() => undefined);
    // While the Hub is asked: most likely there are as many files as there were.
    if (earlier !== undefined) await query.filesAt(earlier, (await store.tree(repo, earlier))?.length);
    const commit = await asked;
    return { commit, earlier, local: false, ...(await entriesAt(query, commit)) };
  };
  const mayBeHere = earlier !== undefined && !force;
  try {
    return await ask(mayBeHere ? ATTEMPTS_WITH_A_COPY : undefined);
  } catch (error) {
    if (!isXetError(error, ...AWAY, ...REFUSED) || force) throw error;
    const { contents, problem } = await standIn(query, earlier);
    if (isXetError(error, ...REFUSED)) throw contents ? withCopy(error, repo, contents.commit) : error;
    if (!contents) return askOn(mayBeHere ? ask : () => Promise.reject(error), problem);
    warn(
      `${error.message} Using the copy that is here of ${repoText(repo)}: commit ${contents.commit}` +
        `${revision === contents.commit ? '' : `, which '${revision}' stood for when it was last asked`}.`,
    );
    return contents;
  }
}

/** Asks as long as for anything else, as there is no copy; says so in the end. */
async function askOn<T>(ask: () => Promise<T>, problem: string): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!isXetError(error, ...AWAY)) throw error;
    throw amended(error, `${error.message} There is no copy here to use instead: ${problem}`);
  }
}

/** Local entries of a commit if all wanted files are local; otherwise the reason. */
export async function standIn(
  query: Query,
  commit: string | undefined,
): Promise<{ contents: Contents; problem?: undefined } | { contents?: undefined; problem: string }> {
  try {
    const contents = await fromHere(query, commit);
    const selected = wantedOf(query, contents.commit, contents.entries);
    const wanted = fittingOf(query.judge(selected), selected);
    const files = await inParallel(wanted, LOOKUPS_AT_ONCE, async (entry) => {
      const resolved = fileOf(query.hub, query.repo, contents.commit, entry);
      return { resolved, held: await heldOf(query, [contents.commit], resolved) };
    });
    requireAll(query, contents.commit, files);
    return { contents };
  } catch (error) {
    if (!isXetError(error)) throw error;
    return { problem: error.message };
  }
}

/** Entries of a commit known without a request. */
export async function fromHere(query: Query, commit: string | undefined): Promise<Contents> {
  const { repo, revision, selection, store } = query;
  if (repo.type === 'bucket') {
    throw new XetError(
      'OFFLINE',
      `${repoText(repo)} is a bucket, whose files may change at any time, so they cannot be listed while offline.`,
    );
  }
  if (commit === undefined) {
    throw new XetError(
      'OFFLINE',
      `'${printable(revision)}' of ${repoText(repo)} was never downloaded here, so the commit that it stands for is not known. ` +
        'Download it once with a connection, or name a commit.',
    );
  }
  const tree = await store.tree(repo, commit);
  if (tree) return { commit, entries: tree, local: true };
  const { files } = selection;
  if (files === undefined || files.some(isFolder)) {
    throw new XetError(
      'OFFLINE',
      `The files of ${repoText(repo)} at commit ${commit} are not known here. ` +
        'Download it once with a connection, or name the files.',
    );
  }
  const entries = await inParallel(files, LOOKUPS_AT_ONCE, async (path) => {
    const held = await store.find(repo, commit, path);
    if (!held && (await store.knownMissing(repo, commit, path))) return [];
    return [entryOf(path, held)];
  });
  return { commit, entries: entries.flat(), local: true };
}

/** An id that git gives to nothing, so that no file has it. */
const NO_OID = '0'.repeat(40);

/** Listing entry of a local file; for a missing file, an entry without content, so that it is counted. */
function entryOf(path: string, held: HeldFile | undefined): ListEntry {
  const etag = held && isContentId(held.etag) ? held.etag : NO_OID;
  const [oid, sha256] = etag.length === 64 ? [NO_OID, etag] : [etag, undefined];
  return { path, type: 'file', size: held?.size ?? 0, oid, sha256, xetHash: undefined };
}

/** The fewest requests that tell what is wanted at a commit: none, for names, for folders, or for everything. */
async function entriesAt(query: Query, commit: string): Promise<{ entries: ListEntry[]; listing?: ListEntry[] }> {
  const { repo, revision, selection, hub, store, signal, force } = query;
  const tree = await store.tree(repo, commit);
  if (tree) return { entries: tree };
  const { files } = selection;
  if (files === undefined) {
    const listing = await collect(listEntries(hub, repo, commit, { recursive: true, signal }));
    return { entries: listing, listing };
  }
  const names = files.filter((name) => !isFolder(name));
  const folders = files.filter(isFolder);
  // Whoever names a commit and files that are here needs no server.
  if (revision === commit && repo.type !== 'bucket' && folders.length === 0 && !force) {
    const here = await inParallel(names, LOOKUPS_AT_ONCE, (path) => store.find(repo, commit, path));
    if (here.every((held) => held)) return { entries: names.map((name, index) => entryOf(name, here[index])) };
  }
  const asked = names.length === 0 ? [] : await pathsInfo(hub, repo, commit, names, signal);
  const entries = await collect(withSizes(hub, repo, commit, asked, signal));
  for (const folder of folders) {
    try {
      const listed = listEntries(hub, repo, commit, { path: folder.slice(0, -1), recursive: true, signal });
      for await (const entry of listed) entries.push(entry);
    } catch (error) {
      // That there is no such folder is told together with what else there is not.
      if (!isXetError(error, 'ENTRY_NOT_FOUND')) throw error;
    }
  }
  return { entries };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The selected files, each once. What was named must be there, and something must be selected. */
export function wantedOf(query: Query, commit: string, entries: readonly ListEntry[]): ListEntry[] {
  const { repo, revision, selection } = query;
  const listed = new Map(entries.filter(({ type }) => type === 'file').map((entry) => [entry.path, entry]));
  const paths = [...listed.keys()];
  const { selected, missing } = select([...listed.values()], selection);
  const at = revision === commit ? `commit ${commit}` : `'${printable(revision)}' (commit ${commit})`;
  const where = repo.type === 'bucket' ? repoText(repo) : `${repoText(repo)} at ${at}`;
  if (missing.length > 0) {
    const folders = new Set(entries.filter(({ type }) => type === 'directory').map(({ path }) => path));
    const told = missing.map((name) => {
      const hint = folders.has(name) ? `it is a folder, write '${name}/'` : nearMiss(name, paths);
      return `'${printable(name)}'${hint === undefined ? '' : ` (${hint})`}`;
    });
    throw new XetError('ENTRY_NOT_FOUND', `Not in ${where}: ${some(told)}. List the repository to see what there is.`);
  }
  const nothingAsked = selection.allow?.length === 0 || selection.files?.length === 0;
  if (selected.length > 0 || nothingAsked) return selected;
  if (paths.length === 0) throw new XetError('ENTRY_NOT_FOUND', `There are no files in ${where}.`);
  const candidates = select([...listed.values()], { files: selection.files }).selected.map(({ path }) => path);
  throw new XetError(
    'ENTRY_NOT_FOUND',
    `None of the ${candidates.length} files of ${where} is selected. ` +
      reportText(explainPatterns(candidates, selection)),
  );
}

/** A refusal, with the way to what is here all the same. */
export function withCopy(error: XetError, repo: RepoId, commit: string): XetError {
  return amended(
    error,
    `${error.message} All of it is here as of commit ${commit} of ${repoText(repo)}: use that with offline (--offline).`,
  );
}

/** The same error with more to say. */
export function amended(error: XetError, message: string): XetError {
  const { status, url, requestId, retryable, retryAfterMs } = error;
  return new XetError(error.code, message, {
    status,
    url,
    requestId,
    retryable,
    retryAfterMs,
    cause: error,
  });
}
