import { CACHE_PRUNE, CACHE_REMOVE, CACHE_USAGE, CACHE_VERIFY, checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { CacheControl } from './types.ts';

/** Wraps maintenance with validation of all arguments. */
export function checkedControl(control: CacheControl): CacheControl {
  return {
    usage: async (options = {}) => control.usage(checked('cache.usage', options, CACHE_USAGE)),
    prune: async (options = {}) => control.prune(checked('cache.prune', options, CACHE_PRUNE)),
    remove: async (targets, options = {}) => {
      const given: readonly unknown[] = Array.isArray(targets) ? targets : [targets];
      if (!given.every((target) => typeof target === 'string' || isTarget(target)))
        throw invalid("cache.remove takes repositories and commits: cache.remove('owner/model') or cache.remove([…]).");
      return control.remove(targets, checked('cache.remove', options, CACHE_REMOVE));
    },
    verify: async (options = {}) => {
      const { repos, ...rest } = checked('cache.verify', options, CACHE_VERIFY);
      const given: unknown = typeof repos === 'string' ? [repos] : repos;
      if (given !== undefined && !Array.isArray(given))
        throw invalid("cache.verify: 'repos' must be a list of repositories.");
      return control.verify({ ...rest, ...(given && { repos: given }) });
    },
    clear: async () => control.clear(),
  };
}

function isTarget(target: unknown): boolean {
  return typeof target === 'object' && target !== null && 'repo' in target;
}

function invalid(message: string): XetError {
  return new XetError('INVALID_ARGUMENT', message);
}
