import { resolve } from 'node:path';
import type { CacheStores } from '../cache/local-caches.ts';
import type { RecipeStore } from '../cache/recipes/recipe-store.ts';
import { XetError } from '../core/errors.ts';
import { hubCacheDir } from '../fs/env-folders.node.ts';
import { isBelow } from '../fs/safe-paths.node.ts';
import { type CachedRepo, type CacheScan, cachedRepoText } from './cached-repo.ts';
import { type CachePlan, carryOut, planPrune, planRemoval } from './clean.node.ts';
import { clearCaches, measureCaches, overLimit, pruneChunks, totalBytes } from './maintenance.ts';
import { scanCache } from './scan.node.ts';
import { findRepo, findTargets } from './targets.ts';
import type {
  CacheControl,
  CacheControlSettings,
  CacheTarget,
  CacheUsage,
  OpenCacheControl,
  PruneCacheOptions,
  RemovalReport,
  RemoveCachedOptions,
  RepoUsage,
  VerifyCacheOptions,
  VerifyReport,
} from './types.ts';
import { verifyCache } from './verify.node.ts';

export const openNodeCacheControl: OpenCacheControl = (settings) => new NodeCacheControl(settings);

/** Maintenance of the Hub cache folder, which all Hub clients share, and of xetkit's own caches. */
class NodeCacheControl implements CacheControl {
  readonly #stores: CacheStores;
  readonly #cacheDir: string | undefined;
  readonly #closing: AbortSignal;

  constructor({ stores, cacheDir, closing }: CacheControlSettings) {
    this.#stores = stores;
    this.#cacheDir = cacheDir;
    this.#closing = closing;
  }

  async usage(options: { signal?: AbortSignal } = {}): Promise<CacheUsage> {
    const signal = this.#signal(options.signal);
    const scan = await this.#scan(signal);
    const [{ usage: xetkit, warnings }, plan] = await Promise.all([measureCaches(this.#stores), planPrune(scan)]);
    const hubBytes = scan.size + sum(scan.unfinished) + sum(scan.repos.flatMap(({ unused }) => unused));
    return {
      folder: scan.path,
      repos: scan.repos.map(usageOf),
      unfinished: scan.unfinished.map(({ path, size }) => ({ localPath: path, bytes: size })),
      hubBytes,
      xetkit,
      totalBytes: hubBytes + totalBytes(xetkit),
      prunable: {
        bytes: plan.freedBytes + overLimit(xetkit.chunks, xetkit.chunks?.maxBytes),
        revisions: plan.revisions.length,
      },
      warnings: [...scan.warnings, ...warnings],
    };
  }

  async prune(options: PruneCacheOptions = {}): Promise<RemovalReport> {
    const { maxBytes, detached, dryRun = false } = options;
    const signal = this.#signal(options.signal);
    const { bytes: chunkBytes, failures } = await pruneChunks(this.#stores, maxBytes, dryRun);
    const plan = await planPrune(await this.#scan(signal), { detached });
    return reportOf(plan, { dryRun, chunkBytes, failures, signal });
  }

  async remove(
    targets: CacheTarget | readonly CacheTarget[],
    { dryRun = false, signal: asked }: RemoveCachedOptions = {},
  ): Promise<RemovalReport> {
    const signal = this.#signal(asked);
    const wanted = Array.isArray(targets) ? targets : [targets as CacheTarget];
    if (wanted.length === 0)
      throw new XetError('INVALID_ARGUMENT', 'Name what to remove: repositories or commits. None were named.');
    const scan = await this.#scan(signal);
    const plan = await planRemoval(scan, findTargets(scan.repos, wanted, scan.path));
    return reportOf(plan, { dryRun, chunkBytes: 0, failures: [], signal });
  }

  async verify(options: VerifyCacheOptions = {}): Promise<VerifyReport> {
    const { repair, onFile, onProgress } = options;
    const signal = this.#signal(options.signal);
    const scan = await this.#scan(signal);
    const repos = options.repos?.map((each) => findRepo(scan.repos, each, scan.path));
    const { known, recipes } = this.#stores;
    const result = await verifyCache(scan, { repos, repair, signal, known, onFile, onProgress });
    const looked = repos ? { checked: 0, dropped: 0 } : await checkRecipes(recipes, signal);
    const told = new Set(result.wrong.flatMap(({ snapshotPaths: files }) => files));
    const ours = (path: string) => !repos || repos.some((repo) => path === repo.path || isBelow(path, repo.path));
    const warnings = scan.warnings.filter(({ localPath: path }) => ours(path) && !told.has(path));
    return { ...result, recipes: looked, warnings };
  }

  async clear(): Promise<{ freedBytes: number }> {
    this.#closing.throwIfAborted();
    return { freedBytes: await clearCaches(this.#stores) };
  }

  /** Resolves the folder on each call, because the environment may have changed. */
  #scan(signal: AbortSignal): Promise<CacheScan> {
    return scanCache(resolve(this.#cacheDir ?? hubCacheDir()), signal);
  }

  /** Combines the caller's signal with the end of the client. Throws if either has aborted. */
  #signal(signal: AbortSignal | undefined): AbortSignal {
    const either = signal ? AbortSignal.any([signal, this.#closing]) : this.#closing;
    either.throwIfAborted();
    return either;
  }
}

function usageOf(repo: CachedRepo): RepoUsage {
  const { type, path, size, blobs, sharedBytes, unused, lastAccessed, lastModified, revisions } = repo;
  return {
    repo: cachedRepoText(repo),
    type,
    folder: path,
    bytes: size,
    blobCount: blobs,
    sharedBytes,
    unusedBytes: sum(unused),
    lastAccessedMs: lastAccessed,
    lastModifiedMs: lastModified,
    revisions: revisions.map(({ commit, refs, size: bytes, files, lastModified: changed }) => ({
      commit,
      refs,
      bytes,
      fileCount: files.length,
      lastModifiedMs: changed,
    })),
  };
}

/** Executes a plan unless it is a dry run. */
async function reportOf(
  plan: CachePlan,
  about: Pick<RemovalReport, 'dryRun' | 'chunkBytes' | 'failures'> & { signal: AbortSignal },
): Promise<RemovalReport> {
  const { dryRun, chunkBytes, signal } = about;
  const done = dryRun ? { freedBytes: plan.freedBytes, failures: [] } : await carryOut(plan, signal);
  const stayed = new Set(done.failures.map(({ localPath: path }) => path));
  return {
    dryRun,
    freedBytes: chunkBytes + done.freedBytes,
    chunkBytes,
    revisions: plan.revisions
      .filter(({ repo, revision }) => !stayed.has(repo.path) && !stayed.has(revision.path))
      .map(({ repo, revision: { commit, refs, size } }) => ({ repo: cachedRepoText(repo), commit, refs, bytes: size })),
    removals: plan.removals.filter(({ localPath: path }) => !stayed.has(path)),
    failures: [...about.failures, ...done.failures],
  };
}

/** Reads all recipes: the store drops damaged ones. */
async function checkRecipes(recipes: RecipeStore, signal: AbortSignal): Promise<VerifyReport['recipes']> {
  const looked = { checked: 0, dropped: 0 };
  for await (const { fileHash } of recipes.list()) {
    signal.throwIfAborted();
    looked.checked++;
    if (!(await recipes.get(fileHash))) looked.dropped++;
  }
  return looked;
}

function sum(files: readonly { size: number }[]): number {
  return files.reduce((total, { size }) => total + size, 0);
}
