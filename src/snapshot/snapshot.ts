import { type BatchForms, ReconstructionsAhead } from '../cas/reconstructions-ahead.ts';
import { isOutOfDescriptors } from '../core/descriptors.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { Narrowing, type ParallelBatch, untilFirstFailure } from '../core/in-parallel.ts';
import { MetricsLog } from '../core/metrics.ts';
import { type OnProgress, type Progress, ProgressMeter } from '../core/progress.ts';
import type { DownloadOutcome, DownloadResult } from '../download/file.ts';
import type { Ahead } from '../download/stages.ts';
import type { Place } from '../files/place.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { repoText } from '../hub/repo.ts';
import type { ListEntry } from '../hub/types.ts';
import { amended } from './contents.ts';
import { printable } from './names.ts';
import {
  type LeftOutFile,
  type PlannedFile,
  type PlanParts,
  planSnapshot,
  type SnapshotPlan,
  type SnapshotSelection,
  type SnapshotTotals,
} from './plan.ts';

export {
  type LeftOutFile,
  type PlanParts,
  planSnapshot,
  type SnapshotPlan,
  type SnapshotSelection,
  type SnapshotTotals,
};

/** Selection of files, and callbacks. */
export interface SnapshotOptions extends SnapshotSelection {
  /** Called with the progress over all files. */
  onProgress?: OnProgress;
  /** Called for each file once it is in place. */
  onFile?: (file: SnapshotFile) => void;
}

/** One file of a snapshot. All of them are of the same commit. */
export type SnapshotFile = DownloadResult;

/** Result of a snapshot. */
export interface SnapshotResult {
  /** The folder that holds the files under their paths in the repository. */
  folder: string;
  /** The one commit that all files are of. */
  commit: string;
  /** In the order in which the repository lists them. */
  files: SnapshotFile[];
  /** Files that this system cannot store under their names, and why. The others are in place. */
  leftOut: LeftOutFile[];
  /** Over all files. */
  bytes: { network: number; cache: number; local: number };
  /** Requests made, for finding out which files there are as well. Tokens are not among them. */
  requests: number;
  /** From the call on. */
  seconds: number;
}

/** Preview of a snapshot, in the form of {@link SnapshotResult}. */
export interface SnapshotPreview {
  /** The folder that would hold the files. */
  folder: string;
  /** The one commit that all files are of. */
  commit: string;
  /** In the order in which the repository lists them. */
  files: SnapshotPreviewFile[];
  /** Files that this system cannot store under their names, and why. */
  leftOut: LeftOutFile[];
  /** Over all files. */
  totals: SnapshotTotals;
  /** Warnings. */
  warnings: string[];
}

/** One file that a snapshot would bring. */
export interface SnapshotPreviewFile {
  /** Path in the repository. */
  path: string;
  /** Path on this machine, if it is there. */
  localPath: string | undefined;
  /** Bytes. */
  size: number;
  /** The Hub's name for the content: a sha256, or a git hash for small files. */
  etag: string;
  /** Undefined for files that the Hub keeps in git. */
  xetHash: string | undefined;
  /** True if its content is on this machine, so nothing is fetched. */
  held: boolean;
}

/** Brings one file to its place: verifies an existing file, or fetches it. */
export type FetchFile = (
  file: ResolvedFile,
  place: Place,
  settings: { signal: AbortSignal; force: boolean; onProgress: OnProgress; log: MetricsLog; ahead: Ahead | undefined },
) => Promise<DownloadOutcome>;

/** Dependencies of fetching a snapshot. */
export interface SnapshotParts extends PlanParts {
  fetchFile: FetchFile;
  /** The form of batch reconstruction that each CAS answers, if known. */
  batchForms?: BatchForms | undefined;
  /** Files at once at most, if less than usual is wanted. */
  filesAtOnce?: number | undefined;
}

/** Below this the time of a file is that of its requests, so many of them run at once. */
const SMALL_FILE_BYTES = 1024 * 1024;
const SMALL_FILES_AT_ONCE = 40;
/** Those that seem to be in place already are only looked at. */
const HELD_FILES_AT_ONCE = 128;
/** A large file uses the network well by itself. */
const LARGE_FILES_AT_ONCE = 8;

/** Converts a plan to its public preview. */
export function previewOf({ folder, commit, files, totals, warnings, leftOut }: SnapshotPlan): SnapshotPreview {
  return {
    folder,
    commit,
    files: files.map(({ resolved, held }) => ({
      path: resolved.path,
      localPath: held?.localPath,
      size: resolved.size,
      etag: resolved.etag,
      xetHash: resolved.xetHash,
      held: held !== undefined,
    })),
    totals,
    warnings,
    leftOut,
  };
}

/**
 * Brings all files of a plan to their places. The first failure ends the rest and is thrown; what is in place
 * by then, and parts of files, stay for the next try.
 */
export async function runSnapshot(
  parts: SnapshotParts,
  plan: SnapshotPlan,
  options: Pick<SnapshotOptions, 'signal' | 'force' | 'onProgress' | 'onFile'> = {},
): Promise<SnapshotResult> {
  const started = performance.now();
  const { repo, commit, files, totals } = plan;
  options.signal?.throwIfAborted();
  const { force = false } = options;
  if (!plan.local)
    await parts.store.requireSpace?.(files.flatMap(({ resolved, held }) => (held && !force ? [] : [resolved])));
  await note(parts, plan);

  const log = new MetricsLog(parts.http.log);
  const meter = new ProgressMeter({ files: totals.files, bytes: totals.bytes }, options.onProgress, undefined, log);
  // The totals are known from here on.
  meter.phase(files.length === 0 ? 'done' : 'downloading');
  const ahead = askAhead(parts, plan, log);
  const run: Run = { parts, plan, log, meter, ahead, force, first: new Map() };
  const done = new Map<PlannedFile, SnapshotFile>();
  const narrowing = new Narrowing(isOutOfDescriptors);
  const leftOut = [...plan.leftOut];
  let failed: PlannedFile | undefined;
  const step = async (file: PlannedFile, signal: AbortSignal) => {
    try {
      const result = await narrowing.run(() => bring(run, file, signal));
      done.set(file, result);
      options.onFile?.(result);
    } catch (error) {
      const reason = refusedName(error);
      if (reason !== undefined) leftOut.push({ path: file.resolved.path, reason });
      else {
        failed ??= file;
        throw error;
      }
    }
  };
  try {
    await untilFirstFailure(batchesOf(files, parts.filesAtOnce), step, options.signal);
  } catch (error) {
    if (!failed || !isXetError(error) || options.signal?.aborted) throw error;
    throw explained(error, failed.resolved.path, `${done.size} of ${files.length} files of ${repoText(repo)}`);
  } finally {
    meter.stop();
    ahead?.close();
  }

  const results = files.flatMap((file) => done.get(file) ?? []);
  await plan.at.noteSnapshot(results);
  const sum = (of: (file: SnapshotFile) => number) => results.reduce((total, file) => total + of(file), 0);
  return {
    folder: plan.folder,
    commit,
    files: results,
    leftOut,
    bytes: {
      network: sum(({ bytes }) => bytes.network),
      cache: sum(({ bytes }) => bytes.cache),
      local: sum(({ bytes }) => bytes.local),
    },
    requests: plan.requests + log.totalRequests,
    seconds: plan.seconds + (performance.now() - started) / 1000,
  };
}

interface Run {
  parts: SnapshotParts;
  plan: SnapshotPlan;
  log: MetricsLog;
  meter: ProgressMeter;
  ahead: ReconstructionsAhead | undefined;
  force: boolean;
  /** The first file of each content, by etag: the others wait for it, and may then find their content here. */
  first: Map<string, Promise<unknown>>;
}

const isSmall = ({ resolved }: PlannedFile) => resolved.size < SMALL_FILE_BYTES;

/** Small files are many, and their reconstructions short: those are asked for together. */
function askAhead(
  { http, hub, batchForms }: SnapshotParts,
  plan: SnapshotPlan,
  log: MetricsLog,
): ReconstructionsAhead | undefined {
  const wanted = plan.local ? [] : plan.files.filter((file) => isSmall(file) && !file.held && file.resolved.xetHash);
  const [first] = wanted;
  if (!first) return undefined;
  // All are of one repository at one commit, for which there is one token.
  const tokens = hub.tokens(first.resolved.tokenUrl);
  return new ReconstructionsAhead(
    http.with(log),
    tokens,
    wanted.flatMap(({ resolved }) => resolved.xetHash ?? []),
    batchForms,
  );
}

function batchesOf(files: readonly PlannedFile[], most = Number.POSITIVE_INFINITY): ParallelBatch<PlannedFile>[] {
  return [
    { items: files.filter((file) => isSmall(file) && file.held), atOnce: Math.min(HELD_FILES_AT_ONCE, most) },
    { items: files.filter((file) => isSmall(file) && !file.held), atOnce: Math.min(SMALL_FILES_AT_ONCE, most) },
    { items: files.filter((file) => !isSmall(file)), atOnce: Math.min(LARGE_FILES_AT_ONCE, most) },
  ];
}

/** Notes the Hub's answers for the next snapshot and for offline use. */
async function note({ store }: SnapshotParts, { repo, revision, commit, listing, local }: SnapshotPlan): Promise<void> {
  if (local || repo.type === 'bucket') return;
  await Promise.all([
    revision === commit ? undefined : store.noteCommit(repo, revision, commit),
    listing && store.noteTree(repo, commit, filesOf(listing)),
  ]);
}

function filesOf(listing: readonly ListEntry[]): ListEntry[] {
  return listing.filter(({ type }) => type === 'file');
}

async function bring(run: Run, planned: PlannedFile, signal: AbortSignal): Promise<SnapshotFile> {
  const { etag } = planned.resolved;
  const first = run.first.get(etag);
  if (first === undefined) {
    const bringing = bringOne(run, planned, signal);
    run.first.set(etag, bringing);
    return bringing;
  }
  // If it failed, that is told there, and ends this one as well.
  await first.catch(() => undefined);
  return bringOne(run, planned, signal);
}

async function bringOne(run: Run, planned: PlannedFile, signal: AbortSignal): Promise<SnapshotFile> {
  const { parts, plan, meter, force, ahead } = run;
  const started = performance.now();
  const log = new MetricsLog(run.log);
  const file = await identified(run, planned, signal, log);
  const place = plan.at.place(file, plan.revision);
  const follow = new Follower(meter, file);
  const onProgress = (progress: Progress) => follow.at(progress);
  const outcome = plan.local
    ? await alreadyThere(file, place, signal, log)
    : await parts.fetchFile(file, place, { signal, force, log, ahead, onProgress }).catch((error) => {
        follow.takeBack();
        throw error;
      });
  follow.end(outcome.bytes.local);
  const { path, size, etag, commit, xetHash } = file;
  return {
    path,
    ...outcome,
    size,
    etag,
    commit,
    xetHash,
    requests: log.totalRequests,
    seconds: (performance.now() - started) / 1000,
  };
}

/**
 * The file, with its Xet hash. A listing may hold that back of a file that is kept outside of git, and without
 * it the file could only be had over plain HTTP: so the Hub is asked, but only for what is fetched.
 */
async function identified(
  { parts, plan }: Run,
  file: PlannedFile,
  signal: AbortSignal,
  log: MetricsLog,
): Promise<ResolvedFile> {
  const { entry, resolved, held } = file;
  if (resolved.xetHash !== undefined || entry.sha256 === undefined || held || plan.local) return resolved;
  const { repo, commit } = plan;
  const asked = await parts.hub.resolve(repo, commit, resolved.path, {
    signal,
    http: parts.http.with(log),
    waits: true,
  });
  return asked.etag === resolved.etag && asked.size === resolved.size && asked.commit === commit ? asked : resolved;
}

async function alreadyThere(file: ResolvedFile, place: Place, signal: AbortSignal, log: MetricsLog) {
  const existing = await place.existing(signal);
  if (!existing) {
    throw new XetError(
      'OFFLINE',
      `'${printable(file.path)}' is here but not with the content that it had. Fetch it again with a connection.`,
    );
  }
  log.add('local', file.size);
  return { ...existing, bytes: { network: 0, cache: 0, local: file.size } };
}

/** Adds the progress of one file to that of all. */
class Follower {
  readonly #meter: ProgressMeter;
  readonly #file: ResolvedFile;
  #seen = { done: 0, network: 0, cache: 0, local: 0 };

  constructor(meter: ProgressMeter, file: ResolvedFile) {
    this.#meter = meter;
    this.#file = file;
  }

  at({ bytes }: Pick<Progress, 'bytes'>): void {
    this.#meter.network(bytes.network - this.#seen.network);
    this.#meter.cache(bytes.cache - this.#seen.cache);
    this.#meter.local(bytes.local - this.#seen.local);
    this.#meter.content(bytes.done - this.#seen.done, this.#file.path);
    this.#seen = bytes;
  }

  /** It failed, and may be tried again. */
  takeBack(): void {
    this.#meter.content(-this.#seen.done, this.#file.path);
    this.#seen = { ...this.#seen, done: 0 };
  }

  /** Also counts what was not reported, as for a file that was there. */
  end(localBytes: number): void {
    this.#meter.local(Math.max(0, localBytes - this.#seen.local));
    this.#meter.content(this.#file.size - this.#seen.done, this.#file.path);
    this.#meter.fileDone();
  }
}

/** The file system's objection to a name that this system usually accepts: a disk may have rules of its own. */
function refusedName(error: unknown): string | undefined {
  if (!isXetError(error, 'CACHE') || !(error.cause instanceof Error)) return undefined;
  const { code, message } = error.cause as Error & { code?: string };
  return ['EINVAL', 'ENAMETOOLONG', 'EILSEQ'].includes(code ?? '') ? `this disk refuses it: ${message}` : undefined;
}

/** Adds the file concerned, and what is not lost. */
function explained(error: XetError, path: string, done: string): XetError {
  const named = error.message.includes(path) ? '' : ` This was '${printable(path)}'.`;
  return amended(error, `${error.message}${named} ${done} are in place; what was fetched is kept for the next try.`);
}
