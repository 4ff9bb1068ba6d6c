import { either, textsOf } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import { inParallel } from '../core/in-parallel.ts';
import { MetricsLog } from '../core/metrics.ts';
import { isFolder } from '../core/selection.ts';
import type { HeldFile } from '../files/held-file.ts';
import { type CommitFiles, commitFilesOf, type RepoStore } from '../files/place.ts';
import type { Http } from '../http/http.ts';
import type { HubClient, ResolvedFile } from '../hub/client.ts';
import { fileOf } from '../hub/listing.ts';
import { givenPath, parseRepo, repoText, revisionOf } from '../hub/repo.ts';
import type { ListEntry, RepoDesignation, RepoId } from '../hub/types.ts';
import { fromHere, fromHub, wantedOf } from './contents.ts';
import { fittingOf, heldOf, LOOKUPS_AT_ONCE, type Query, requireAll } from './held.ts';
import { judgeNames, type NamePlatform } from './names.ts';

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

/** Throws `INVALID_ARGUMENT` if files are to be fetched again without a server. */
export function checkForce(force: boolean, offline: boolean): void {
  if (force && offline)
    throw new XetError('INVALID_ARGUMENT', 'Nothing can be fetched again while offline. Omit either force or offline.');
}
