import { either, textsOf } from '../core/arguments.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { inParallel } from '../core/in-parallel.ts';
import { MetricsLog } from '../core/metrics.ts';
import { explainPatterns, isFolder, nearMiss, reportText, type Selection, select } from '../core/selection.ts';
import type { HeldFile } from '../files/held-file.ts';
import { type CommitFiles, commitFilesOf, type RepoStore } from '../files/place.ts';
import type { Http } from '../http/http.ts';
import { type HubClient, isContentId, type ResolvedFile } from '../hub/client.ts';
import { pathsInfo } from '../hub/entries.ts';
import { fileOf, listEntries, withSizes } from '../hub/listing.ts';
import { givenPath, parseRepo, repoText, revisionOf } from '../hub/repo.ts';
import type { ListEntry, RepoDesignation, RepoId } from '../hub/types.ts';
import { judgeNames, type NamePlatform, type NameVerdict, printable, some } from './names.ts';

/** Selection of files of a repository, and their permitted sources. */
export interface SnapshotSelection {
  /** As in `owner/name` or `datasets/owner/name`. */
  repo: RepoDesignation;
  /** Branch, tag or commit. Default: `main`. */
  revision?: string;
  /** Only files that match one of these, as Python's `fnmatch` reads them; an empty list is none. Default: all. */
  include?: string | readonly string[];
  /** No files that match one of these; it wins over `include`. */
  exclude?: string | readonly string[];
  /** Another name of `include`. */
  allowPatterns?: string | readonly string[];
  /** Another name of `exclude`. */
  ignorePatterns?: string | readonly string[];
  /**
   * Paths of files that there must be, and of folders with a `/` at the end. Patterns narrow what is taken of
   * folders, not the files.
   */
  files?: readonly string[];
  /** Folder that mirrors the repository. Default: the Hub cache folder. */
  localDir?: string;
  /** Downloads again what is already there. Default: false. */
  force?: boolean;
  /** Asks no server: everything must be there. Default: false. */
  offline?: boolean;
  /** Stops it: the promise rejects with its reason. What was fetched by then is kept for the next time. */
  signal?: AbortSignal;
}

/** Dependencies of planning. */
export interface PlanParts {
  http: Http;
  hub: HubClient;
  store: RepoStore;
  platform: NamePlatform;
  onWarning: (message: string) => void;
}

export interface PlannedFile {
  entry: ListEntry;
  resolved: ResolvedFile;
  /** The file, if its content is on this machine, at this commit or an earlier one. */
  held: HeldFile | undefined;
}

/** A file that cannot be stored on this system under its name. */
export interface LeftOutFile {
  /** Path in the repository. */
  path: string;
  /** Reason why it cannot be stored. */
  reason: string;
}

/** Totals over all files. */
export interface SnapshotTotals {
  /** Number of files. */
  files: number;
  /** Bytes of all files. */
  bytes: number;
  /** Number of files that are on this machine. */
  heldFiles: number;
  /** Their bytes. */
  heldBytes: number;
  /** Number of files that are to be fetched. */
  fetchFiles: number;
  /** Their bytes; what comes over the network may be less. */
  fetchBytes: number;
}

/** All that a snapshot takes, decided before a byte is fetched. Making it writes nothing. */
export interface SnapshotPlan {
  repo: RepoId;
  revision: string;
  /** The one commit that every file is of. */
  commit: string;
  /** Folder of the files. */
  folder: string;
  files: PlannedFile[];
  totals: SnapshotTotals;
  warnings: string[];
  /** The files of the commit in the store. */
  at: CommitFiles;
  leftOut: LeftOutFile[];
  /** True if no server may be asked or none answered; then all files are local at this commit. */
  local: boolean;
  /** All entries of the commit, if they were listed for this plan: worth noting. */
  listing: ListEntry[] | undefined;
  requests: number;
  seconds: number;
}

/** Files whose presence is looked up at once. */
const LOOKUPS_AT_ONCE = 256;
/** Codes of a Hub that cannot be reached just now. */
export const AWAY = ['NETWORK', 'TIMEOUT', 'STALLED', 'SERVER', 'RATE_LIMITED'] as const;
/** Codes of a Hub that lets nobody have what it may once have given: a token has expired, or a repository is private now. */
export const REFUSED = ['UNAUTHORIZED', 'FORBIDDEN', 'GATED', 'REPOSITORY_NOT_FOUND'] as const;
/** Attempts where a local copy may exist: a missing network is not waited for long. */
export const ATTEMPTS_WITH_A_COPY = 2;

/** Decides which files at which commit, and which of them are here. */
export async function planSnapshot(parts: PlanParts, options: SnapshotSelection): Promise<SnapshotPlan> {
  const started = performance.now();
  const log = new MetricsLog(parts.http.log);
  const query = queryOf(parts, options, log);
  const { repo, revision, store } = query;
  options.signal?.throwIfAborted();

  const warnings: string[] = [];
  const { commit, entries, listing, local, earlier } = options.offline
    ? await fromHere(query, await store.commitOf(repo, revision))
    : await fromHub(query, (warning) => warnings.push(warning));

  const selected = wantedOf(query, commit, entries);
  const verdict = query.judge(selected);
  for (const warning of verdict.warnings) warnings.push(warning);
  const fitting = fittingOf(verdict, selected);
  if (fitting.length === 0 && selected.length > 0) throw new XetError('UNSUPPORTED', verdict.warnings.join(' '));

  const at = await query.filesAt(commit, fitting.length);
  const files = await inParallel(fitting, LOOKUPS_AT_ONCE, async (entry): Promise<PlannedFile> => {
    const resolved = fileOf(query.hub, repo, commit, entry);
    return { entry, resolved, held: await heldOf(query, earlier === commit ? [commit] : [commit, earlier], resolved) };
  });
  if (local) requireAll(query, commit, files);
  for (const warning of warnings) parts.onWarning(warning);
  return {
    repo,
    revision,
    commit,
    folder: store.folder(repo, commit),
    at,
    files,
    totals: totalsOf(files),
    warnings,
    leftOut: [...verdict.leftOut].map(([path, reason]) => ({ path, reason })),
    local,
    listing,
    requests: log.totalRequests,
    seconds: (performance.now() - started) / 1000,
  };
}

/** The question, checked, and whom to ask. */
interface Query {
  repo: RepoId;
  revision: string;
  selection: Selection;
  force: boolean;
  signal: AbortSignal | undefined;
  hub: HubClient;
  store: RepoStore;
  /** The files of a commit, of which so many are expected when it is first asked for. */
  filesAt: (commit: string, files?: number) => Promise<CommitFiles>;
  /** Decisions that follow from the names of files. */
  judge: (entries: readonly ListEntry[]) => NameVerdict;
}

const fittingOf = ({ notes, leftOut }: NameVerdict, entries: readonly ListEntry[]) =>
  entries.filter(({ path }) => !notes.has(path) && !leftOut.has(path));

function queryOf({ http, hub, store, platform }: PlanParts, options: SnapshotSelection, log: MetricsLog): Query {
  const { force = false, offline = false, signal } = options;
  checkForce(force, offline);
  const { include, exclude, allowPatterns, ignorePatterns } = options;
  const files = textsOf(options.files, 'files')?.map((name) =>
    isFolder(name) ? `${givenPath(name.replace(/\/{1,100}$/, ''))}/` : givenPath(name),
  );
  const repo = parseRepo(options.repo);
  const revision = revisionOf(repo, options.revision);
  const into = options.localDir === undefined ? 'cache' : 'folder';
  const known = new Map<string, Promise<CommitFiles>>();
  return {
    repo,
    judge: (entries) =>
      judgeNames(
        entries.map(({ path }) => path),
        { platform, into, repo: repoText(repo) },
      ),
    revision,
    selection: {
      files,
      allow: textsOf(either({ include, allowPatterns }), 'include'),
      ignore: textsOf(either({ exclude, ignorePatterns }), 'exclude'),
    },
    force,
    signal,
    hub: hub.with(http.with(log)),
    store,
    filesAt: (commit, files = 0) => {
      const opened = known.get(commit) ?? commitFilesOf(store, repo, commit, files);
      known.set(commit, opened);
      return opened;
    },
  };
}

interface Contents {
  commit: string;
  /** Entries among which all are that are wanted. */
  entries: ListEntry[];
  listing?: ListEntry[];
  local: boolean;
  /** The commit that the revision stood for before, whose files may be here. */
  earlier?: string | undefined;
}

/** Asks the Hub; where it cannot be reached, a whole copy that is here serves instead. */
async function fromHub(query: Query, warn: (warning: string) => void): Promise<Contents> {
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
async function standIn(
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
async function fromHere(query: Query, commit: string | undefined): Promise<Contents> {
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
function wantedOf(query: Query, commit: string, entries: readonly ListEntry[]): ListEntry[] {
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

/** The file, if its content is here at one of the commits, of which the first is the one wanted. */
async function heldOf(
  { filesAt, repo, force, revision, signal }: Query,
  commits: readonly (string | undefined)[],
  resolved: ResolvedFile,
): Promise<HeldFile | undefined> {
  if (force) return undefined;
  const { path, size, etag } = resolved;
  if (repo.type === 'bucket') {
    const at = await filesAt(resolved.commit);
    const existing = await at.place(resolved, revision).existing(signal ?? new AbortController().signal);
    return existing && { localPath: existing.localPath, size, etag };
  }
  for (const [index, commit] of commits.entries()) {
    const held = commit === undefined ? undefined : await (await filesAt(commit)).find(path);
    if (held?.size !== size) continue;
    // Where there are no links nothing tells the content of a file: at the same commit it is the same.
    if (held.etag === etag || (index === 0 && held.etag === '')) return held;
  }
  return undefined;
}

function requireAll(
  { repo }: Query,
  commit: string,
  files: readonly { resolved: ResolvedFile; held: HeldFile | undefined }[],
): void {
  const missing = files.filter(({ held }) => !held).map(({ resolved }) => `'${printable(resolved.path)}'`);
  if (missing.length === 0) return;
  throw new XetError(
    'OFFLINE',
    `${missing.length} of ${files.length} files of ${repoText(repo)} at commit ${commit} are not here, or not whole: ` +
      `${some(missing)}. Download them with a connection, or select only what is here.`,
  );
}

function totalsOf(files: readonly PlannedFile[]): SnapshotTotals {
  const bytesOf = (part: readonly PlannedFile[]) => part.reduce((sum, { resolved }) => sum + resolved.size, 0);
  const held = files.filter((file) => file.held);
  const fetched = files.filter((file) => !file.held);
  return {
    files: files.length,
    bytes: bytesOf(files),
    heldFiles: held.length,
    heldBytes: bytesOf(held),
    fetchFiles: fetched.length,
    fetchBytes: bytesOf(fetched),
  };
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

/** Throws `INVALID_ARGUMENT` if files are to be fetched again without a server. */
export function checkForce(force: boolean, offline: boolean): void {
  if (force && offline)
    throw new XetError('INVALID_ARGUMENT', 'Nothing can be fetched again while offline. Omit either force or offline.');
}
