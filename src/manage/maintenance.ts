import type { CacheStores } from '../cache/local-caches.ts';
import { XetError } from '../core/errors.ts';
import type { CacheProblem, XetkitCacheUsage } from './types.ts';

/** Measures all caches. One that cannot be measured is a warning, and counts as empty. */
export async function measureCaches(
  stores: CacheStores,
): Promise<{ usage: XetkitCacheUsage; warnings: CacheProblem[] }> {
  const warnings: CacheProblem[] = [];
  const { folders } = stores;
  const orNothing = async <T>(folder: string | undefined, step: Promise<T>, nothing: T): Promise<T> =>
    step.catch((error: unknown) => {
      warnings.push(problemOf(folder, error));
      return nothing;
    });
  const [recipes, chunks, verified] = await Promise.all([
    orNothing(folders?.recipes, stores.recipes.usage(), { bytes: 0, recipes: 0 }),
    stores.chunks && orNothing(folders?.chunks, stores.chunks.usage(), { bytes: 0, entries: 0 }),
    orNothing(folders?.verifiedFiles, stores.known.usage(), { bytes: 0, files: 0 }),
  ]);
  return {
    usage: {
      recipes: { folder: folders?.recipes, bytes: recipes.bytes, count: recipes.recipes },
      chunks: chunks && { folder: folders?.chunks, ...chunks, maxBytes: stores.chunkLimitBytes },
      verifiedFiles: { folder: folders?.verifiedFiles, bytes: verified.bytes, count: verified.files },
    },
    warnings,
  };
}

export function totalBytes({ recipes: shards, chunks, verifiedFiles: files }: XetkitCacheUsage): number {
  return shards.bytes + (chunks?.bytes ?? 0) + files.bytes;
}

/** Returns the bytes beyond a limit. */
export function overLimit(chunks: { bytes: number } | undefined, maxBytes = 0): number {
  return Math.max(0, (chunks?.bytes ?? 0) - maxBytes);
}

/** Prunes the chunk cache to a limit, by default the client's. A failure is reported, so that files can still be removed. */
export async function pruneChunks(
  { chunks, chunkLimitBytes, folders }: CacheStores,
  maxBytes: number = chunkLimitBytes,
  dryRun: boolean,
): Promise<{ bytes: number; failures: CacheProblem[] }> {
  if (!(maxBytes >= 0))
    throw new XetError('INVALID_ARGUMENT', `maxBytes is a number of bytes from 0 on, not ${maxBytes}.`);
  if (!chunks) return { bytes: 0, failures: [] };
  try {
    const bytes = dryRun ? overLimit(await chunks.usage(), maxBytes) : await chunks.prune(maxBytes);
    return { bytes, failures: [] };
  } catch (error) {
    return { bytes: 0, failures: [problemOf(folders?.chunks, error)] };
  }
}

/** Empties all caches, each even if another one fails. Returns the freed bytes. */
export async function clearCaches(stores: CacheStores): Promise<number> {
  const before = await measureCaches(stores);
  const outcomes = await Promise.allSettled([stores.recipes.clear(), stores.chunks?.clear(), stores.known.clear()]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  const after = await measureCaches(stores);
  return Math.max(0, totalBytes(before.usage) - totalBytes(after.usage));
}

/** Converts an error of a cache. Other errors are bugs, and are thrown. */
function problemOf(path: string | undefined, error: unknown): CacheProblem {
  const told = error instanceof XetError && error.code !== 'CLOSED';
  if (!told && !(error instanceof Error && 'syscall' in error)) throw error;
  return { localPath: path ?? '', message: error.message };
}
