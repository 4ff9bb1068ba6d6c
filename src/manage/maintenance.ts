import type { TiersAtHand } from '../cache/tiers.ts';
import { XetError } from '../core/errors.ts';
import type { CacheProblem, TierUsage } from './usage.ts';

/** What cannot be counted is told of, and counts as nothing. */
export async function tierUsage(tiers: TiersAtHand): Promise<{ usage: TierUsage; warnings: CacheProblem[] }> {
  const warnings: CacheProblem[] = [];
  const orNothing = async <T>(step: Promise<T>, nothing: T): Promise<T> =>
    step.catch((error: unknown) => {
      warnings.push(problemOf(tiers.folder, error));
      return nothing;
    });
  const [shards, chunks, files] = await Promise.all([
    orNothing(tiers.recipes.usage(), { bytes: 0, recipes: 0 }),
    tiers.chunks && orNothing(tiers.chunks.usage(), { bytes: 0, entries: 0 }),
    orNothing(tiers.known.usage(), { bytes: 0, files: 0 }),
  ]);
  return {
    usage: {
      path: tiers.folder,
      shards,
      chunks: chunks && { ...chunks, maxBytes: tiers.chunkLimitBytes },
      files,
    },
    warnings,
  };
}

export function tierBytes({ shards, chunks, files }: TierUsage): number {
  return shards.bytes + (chunks?.bytes ?? 0) + files.bytes;
}

/** Bytes that are too many. */
export function excess(chunks: { bytes: number } | undefined, maxBytes = 0): number {
  return Math.max(0, (chunks?.bytes ?? 0) - maxBytes);
}

/** Brings the chunks to so many bytes, or to the client's limit. Files can still be removed where this fails. */
export async function pruneChunks(
  { chunks, chunkLimitBytes, folder }: TiersAtHand,
  maxBytes: number = chunkLimitBytes,
  dryRun: boolean,
): Promise<{ bytes: number; failures: CacheProblem[] }> {
  if (!(maxBytes >= 0))
    throw new XetError('INVALID_ARGUMENT', `maxBytes is a number of bytes from 0 on, not ${maxBytes}.`);
  if (!chunks) return { bytes: 0, failures: [] };
  try {
    const bytes = dryRun ? excess(await chunks.usage(), maxBytes) : await chunks.prune(maxBytes);
    return { bytes, failures: [] };
  } catch (error) {
    return { bytes: 0, failures: [problemOf(folder, error)] };
  }
}

/** Empties all tiers, each of them even if another one fails, and gives the bytes freed. */
export async function clearTiers(tiers: TiersAtHand): Promise<number> {
  const before = await tierUsage(tiers);
  const outcomes = await Promise.allSettled([tiers.recipes.clear(), tiers.chunks?.clear(), tiers.known.clear()]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  const after = await tierUsage(tiers);
  return Math.max(0, tierBytes(before.usage) - tierBytes(after.usage));
}

/** A mistake of ours is no problem of the cache. */
function problemOf(path: string | undefined, error: unknown): CacheProblem {
  const told = error instanceof XetError && error.code !== 'CLOSED';
  if (!told && !(error instanceof Error && 'syscall' in error)) throw error;
  return { path: path ?? '', message: error.message };
}
