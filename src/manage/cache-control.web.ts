import { XetError } from '../core/errors.ts';
import { clearCaches, measureCaches, overLimit, pruneChunks, totalBytes } from './maintenance.ts';
import type { OpenCacheControl } from './types.ts';

/** Maintenance where there is no file system, and so no Hub cache folder. */
export const openWebCacheControl: OpenCacheControl = ({ stores, closing }) => ({
  async usage({ signal } = {}) {
    for (const each of [closing, signal]) each?.throwIfAborted();
    const { usage, warnings } = await measureCaches(stores);
    return {
      folder: undefined,
      repos: [],
      unfinished: [],
      hubBytes: 0,
      xetkit: usage,
      totalBytes: totalBytes(usage),
      prunable: { bytes: overLimit(usage.chunks, usage.chunks?.maxBytes), revisions: 0 },
      warnings,
    };
  },
  async prune({ maxBytes, dryRun = false, signal } = {}) {
    for (const each of [closing, signal]) each?.throwIfAborted();
    const { bytes, failures } = await pruneChunks(stores, maxBytes, dryRun);
    return { dryRun, freedBytes: bytes, chunkBytes: bytes, revisions: [], removals: [], failures };
  },
  remove: () => Promise.reject(noHubFolder('remove', 'Call cache.prune({ maxBytes }) or cache.clear()')),
  verify: () => Promise.reject(noHubFolder('verify', 'Chunks and recipes are checked whenever they are used')),
  async clear() {
    closing.throwIfAborted();
    return { freedBytes: await clearCaches(stores) };
  },
});

function noHubFolder(method: string, advice: string): XetError {
  return new XetError(
    'UNSUPPORTED',
    `cache.${method} works on the Hub cache folder, which browsers do not have. ${advice}.`,
  );
}
