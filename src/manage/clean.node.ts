import { lstat, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isXetError, XetError } from '../core/errors.ts';
import { isPythonLockHeld } from '../files/disk/python-lock.node.ts';
import { type SharedBlob, SharedBlobs } from '../files/disk/shared-blobs.node.ts';
import { isDiskError } from '../fs/cache-folder.node.ts';
import { Fence } from '../fs/fence.node.ts';
import { ifPresent } from '../fs/if-present.ts';
import { isLockHeld } from '../fs/lock.node.ts';
import { isBelow } from '../fs/safe-paths.node.ts';
import { type CachedRepo, type CachedRevision, type CacheScan, filesOf } from './cached-repo.ts';
import type { CacheProblem, PlannedRemoval, RemovalKind } from './types.ts';

/** A removal plan. Its order leaves no broken links, wherever the removal stops. */
export interface CachePlan {
  /** The cache folder. */
  path: string;
  removals: PlannedRemoval[];
  freedBytes: number;
  /** Removed revisions with their repositories. */
  revisions: { repo: CachedRepo; revision: CachedRevision }[];
}

export interface CleanResult {
  freedBytes: number;
  removed: number;
  /** Items that could not be removed. */
  failures: CacheProblem[];
}

export interface PruneOptions {
  /** Removes revisions without a ref. Default: true. */
  detached?: boolean;
  /** Minimum age of unused content and of refs to absent commits: a download may be about to complete them. */
  graceMs?: number;
  /** Minimum age of unfinished content without a lock that says whether it is in use. */
  unlockedGraceMs?: number;
}

/** A repository, one revision of it, or a commit in any repository. */
export interface RemovalTarget {
  repo?: Pick<CachedRepo, 'type' | 'name'>;
  commit?: string;
}

const MINUTE_MS = 60_000;

/**
 * Plans to remove detached revisions, interrupted downloads, unused content,
 * and broken links and refs.
 */
export async function planPrune(scan: CacheScan, options: PruneOptions = {}): Promise<CachePlan> {
  const { detached = true, graceMs = MINUTE_MS, unlockedGraceMs = 60 * MINUTE_MS } = options;
  const planning = new Planning(scan, await idleUnfinished(scan, unlockedGraceMs));
  for (const repo of scan.repos) {
    const nameless = detached ? repo.revisions.filter(({ refs }) => refs.length === 0) : [];
    if (nameless.length > 0) planning.revisions(repo, nameless);
    if (planning.isGone(repo)) continue;
    planning.add('link', repo.brokenLinks);
    for (const ref of repo.danglingRefs) if ((await ageMs(ref, 'ctimeMs')) >= graceMs) planning.add('ref', [ref]);
    for (const { path, size } of repo.unused) {
      if ((await ageMs(path, 'ctimeMs')) >= graceMs) planning.blob(path, size);
    }
  }
  planning.unfinished();
  return planning.finish({ sweep: true });
}

/** Plans to remove repositories and revisions. Throws `INVALID_ARGUMENT` for absent ones. */
export async function planRemoval(scan: CacheScan, targets: readonly RemovalTarget[]): Promise<CachePlan> {
  const planning = new Planning(scan, await idleUnfinished(scan, 60 * MINUTE_MS));
  const chosen = new Map<CachedRepo, Set<CachedRevision>>();
  for (const { repo: wanted, commit } of targets) {
    const found = scan.repos.flatMap((repo): [CachedRepo, CachedRevision[]][] => {
      if (wanted && (repo.type !== wanted.type || repo.name !== wanted.name)) return [];
      if (commit === undefined) return wanted ? [[repo, repo.revisions]] : [];
      const revisions = repo.revisions.filter((revision) => revision.commit === commit);
      return revisions.length > 0 ? [[repo, revisions]] : [];
    });
    if (found.length === 0) {
      const named = [wanted && `${wanted.type} ${wanted.name}`, commit && `commit ${commit}`].filter(Boolean);
      throw new XetError(
        'INVALID_ARGUMENT',
        `Not in the cache folder ${scan.path}: ${named.join(' at ') || 'nothing'}.`,
      );
    }
    for (const [repo, revisions] of found) chosen.set(repo, new Set([...(chosen.get(repo) ?? []), ...revisions]));
  }
  for (const [repo, revisions] of chosen) planning.revisions(repo, [...revisions]);
  return planning.finish({ sweep: false });
}

/** Executes a plan. Items that cannot be removed are reported as failures. */
export async function carryOut(plan: CachePlan, signal?: AbortSignal): Promise<CleanResult> {
  const result: CleanResult = { freedBytes: 0, removed: 0, failures: [] };
  const store = new SharedBlobs(plan.path);
  const fence = Fence.ofCache(plan.path);
  for (const { kind, localPath: path, bytes } of plan.removals) {
    signal?.throwIfAborted();
    try {
      if (!isBelow(path, plan.path)) throw new XetError('CACHE', 'It is not in the cache folder.');
      // A link may be removed, but nothing behind it.
      await fence.check(dirname(path));
      // A download may have started since the plan was made.
      if (await isTakenUp(plan.path, kind, path)) throw new XetError('CACHE', 'A download is using it now.');
      if (kind === 'shared') result.freedBytes += await store.sweep(path);
      else {
        await rm(path, { recursive: true, force: true, maxRetries: 2 });
        result.freedBytes += bytes;
      }
      result.removed++;
    } catch (error) {
      if (!isXetError(error) && !isDiskError(error)) throw error;
      result.failures.push({ localPath: path, message: error.message });
    }
  }
  return result;
}

/** A plan in the making. */
class Planning {
  readonly #scan: CacheScan;
  readonly #idle: ReadonlySet<string>;
  readonly #store: SharedBlobs;
  readonly #removals = new Map<RemovalKind, Map<string, number>>();
  readonly #revisions: CachePlan['revisions'] = [];
  /** Repositories that are removed completely, with their content. */
  readonly #gone = new Map<CachedRepo, Map<string, number>>();
  /** Removed blobs, including those of removed repositories. */
  readonly #blobs = new Set<string>();

  /** @param idle unfinished files that are not in use. */
  constructor(scan: CacheScan, idle: ReadonlySet<string>) {
    this.#scan = scan;
    this.#idle = idle;
    this.#store = new SharedBlobs(scan.path);
  }

  isGone(repo: CachedRepo): boolean {
    return this.#gone.has(repo);
  }

  add(kind: RemovalKind, paths: readonly string[], bytes = 0): void {
    const known = this.#removals.get(kind) ?? new Map<string, number>();
    this.#removals.set(kind, known);
    for (const path of paths) known.set(path, bytes);
  }

  blob(path: string, bytes: number): void {
    this.add('blob', [path], bytes);
    this.#blobs.add(path);
  }

  /** Adds revisions of a repository. If none remain, adds the whole repository, unless it is in use. */
  revisions(repo: CachedRepo, chosen: readonly CachedRevision[]): void {
    for (const revision of chosen) this.#revisions.push({ repo, revision });
    const rest = repo.revisions.filter((revision) => !chosen.includes(revision));
    const busy = this.#unfinishedOf(repo).some(({ path }) => !this.#idle.has(path));
    if (rest.length === 0 && !busy) {
      this.#gone.set(repo, this.#contentOf(repo));
      return;
    }
    const kept = new Set(rest.flatMap(({ files }) => files.map(({ blob }) => blob)));
    for (const { commit, path, refs, files } of chosen) {
      const copies = files.filter(({ path: file, blob }) => file === blob);
      this.add('snapshot', [path], sum(copies.map(({ size }) => size)));
      this.add(
        'ref',
        refs.map((ref) => join(repo.path, 'refs', ...ref.split('/'))),
      );
      // Notes on a commit are useless without it.
      this.add('note', [join(repo.path, 'trees', `${commit}.json`), join(repo.path, '.no_exist', commit)]);
      for (const { path: file, blob, size } of files) {
        // A link may lead out of the folder, to foreign files.
        if (file !== blob && !kept.has(blob) && isBelow(blob, repo.path)) this.blob(blob, size);
      }
    }
  }

  /** Returns the content of a repository with its sizes. */
  #contentOf(repo: CachedRepo): Map<string, number> {
    const content = new Map<string, number>();
    const held = filesOf(repo).map(({ blob, size }) => ({ path: blob, size }));
    for (const { path, size } of [...held, ...repo.unused, ...this.#unfinishedOf(repo)]) {
      // A link may lead out of the folder, to foreign files.
      if (!isBelow(path, repo.path)) continue;
      content.set(path, size);
      this.#blobs.add(path);
    }
    return content;
  }

  unfinished(): void {
    const gone = [...this.#gone.keys()].map(({ path }) => path);
    for (const { path, size } of this.#scan.unfinished) {
      if (this.#idle.has(path) && !gone.some((repo) => isBelow(path, repo))) this.add('unfinished', [path], size);
    }
  }

  /** @param sweep also removes shared content that no repository uses. */
  async finish({ sweep }: { sweep: boolean }): Promise<CachePlan> {
    await this.#planShared(sweep);
    for (const [{ path }, content] of this.#gone) this.add('repo', [path], sum([...content.values()]));
    const order: RemovalKind[] = ['link', 'repo', 'snapshot', 'ref', 'note', 'blob', 'unfinished', 'shared'];
    const removals = order.flatMap((kind) =>
      [...(this.#removals.get(kind) ?? [])].map(([localPath, bytes]) => ({ kind, localPath, bytes })),
    );
    return {
      path: this.#scan.path,
      removals,
      freedBytes: sum(removals.map(({ bytes }) => bytes)),
      revisions: this.#revisions,
    };
  }

  /** Plans shared content, which is removed with the last link to it. The links hold no bytes. */
  async #planShared(sweep: boolean): Promise<void> {
    const touched = new Set<string>();
    for (const blob of this.#blobs) {
      const entry = this.#scan.shared.length > 0 ? await this.#store.targetOf(blob) : undefined;
      if (entry === undefined) continue;
      touched.add(entry);
      if (this.#removals.get('blob')?.has(blob)) this.add('blob', [blob], 0);
      for (const content of this.#gone.values()) if (content.has(blob)) content.set(blob, 0);
    }
    for (const { path, size } of this.#scan.shared) {
      if (!sweep && !touched.has(path)) continue;
      const references = await this.#store.references(path);
      if (references && [...references].every((blob) => this.#blobs.has(blob))) this.add('shared', [path], size);
    }
  }

  #unfinishedOf(repo: CachedRepo): SharedBlob[] {
    return this.#scan.unfinished.filter(({ path }) => isBelow(path, repo.path));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

const OURS = /^([^.]+)\.xetkit(?:-journal|-lock)?\.incomplete$/;
/** Short-lived files of one process, without a lock. */
const OURS_ALONE = /^[^.]+\.[0-9a-f-]{16,36}\.xetkit(?:-journal)?\.incomplete$/;

/** Returns unfinished files that are not in use, by xetkit's lock, by that of Python's client, or by age. */
async function idleUnfinished(scan: CacheScan, graceMs: number): Promise<Set<string>> {
  const idle = new Set<string>();
  const asked = new Map<string, Promise<boolean | undefined>>();
  for (const { path } of scan.unfinished) {
    const lock = lockOf(scan.path, path);
    const held = asked.get(lock.path) ?? lock.isHeld();
    asked.set(lock.path, held);
    const busy = (await held) ?? (await ageMs(path, 'mtimeMs')) < graceMs;
    if (!busy) idle.add(path);
  }
  return idle;
}

/** Returns the lock that a writer of an unfinished file would hold. */
function lockOf(cacheDir: string, unfinished: string): { path: string; isHeld: () => Promise<boolean | undefined> } {
  const folder = dirname(unfinished);
  const ours = OURS.exec(basename(unfinished))?.[1];
  if (ours !== undefined) {
    const path = join(folder, `${ours}.xetkit-lock.incomplete`);
    return { path, isHeld: () => isLockHeld(path) };
  }
  if (OURS_ALONE.test(basename(unfinished))) return { path: unfinished, isHeld: async () => undefined };
  // An etag without dots, then a unique suffix.
  const etag = basename(unfinished).split('.', 1)[0] ?? '';
  const path = join(cacheDir, '.locks', basename(dirname(folder)), `${etag}.lock`);
  return { path, isHeld: () => isPythonLockHeld(path) };
}

async function isTakenUp(cacheDir: string, kind: RemovalKind, path: string): Promise<boolean> {
  if (kind !== 'unfinished' && kind !== 'repo') return false;
  const blobs = join(path, 'blobs');
  const names = kind === 'repo' ? ((await ifPresent(() => readdir(blobs))) ?? []) : [];
  const unfinished = kind === 'repo' ? names.filter((name) => name.endsWith('.incomplete')) : [path];
  for (const each of unfinished) if (await lockOf(cacheDir, resolve(blobs, each)).isHeld()) return true;
  return false;
}

/** Returns the time since a file was written, or renamed. */
async function ageMs(path: string, time: 'mtimeMs' | 'ctimeMs'): Promise<number> {
  try {
    const found = await ifPresent(() => (time === 'mtimeMs' ? stat(path) : lstat(path)));
    return found ? Date.now() - found[time] : Number.POSITIVE_INFINITY;
  } catch (error) {
    if (!isDiskError(error)) throw error;
    // Nothing is removed whose age is unknown.
    return 0;
  }
}
