import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Environment, environment, readable } from '../core/env.node.ts';
import { XetError } from '../core/errors.ts';

/**
 * The Hub cache folder that the environment names, as Python's client finds it. Throws `CACHE` where it names none and the
 * user has no home directory.
 */
export function hubCacheDir(env: Environment = environment): string {
  const folder = findHubCacheDir(env);
  if (folder !== undefined) return folder;
  throw new XetError(
    'CACHE',
    'There is no home directory for the Hub cache folder. Set HF_HOME to a folder of yours, or name one with --cache-dir ' +
      'or --local-dir (cacheDir, localDir).',
  );
}

/** The same, or undefined. */
export function findHubCacheDir(env: Environment = environment): string | undefined {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  if (named) return expand(named, env);
  const home = hubHome(env);
  return home === undefined ? undefined : join(home, 'hub');
}

/** The folder of everything that Hub clients keep: caches, and the token. Undefined where the user has no home directory. */
export function hubHome(env: Environment = environment): string | undefined {
  if (env.HF_HOME) return expand(env.HF_HOME, env);
  const home = env.XDG_CACHE_HOME ? undefined : homeOf(env);
  const caches = env.XDG_CACHE_HOME || (home && join(home, '.cache'));
  return caches && expand(join(caches, 'huggingface'), env);
}

/**
 * A folder in which nothing is and nothing can be made, for what keeps notes where it can. Users without a home directory
 * are common in containers, and most of what they do needs none.
 */
export const NOWHERE = join(readable(() => process.execPath) ?? '/dev/null', 'xetkit');

/** Undefined for users without a home directory. */
function homeOf(env: Environment): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    // Deno asks for more permissions to tell it than to read the variable.
    return env.HOME || undefined;
  }
}

/** True if copies are wanted instead of links. */
export function symlinksDisabled(env: Environment = environment): boolean {
  return isTrue(env.HF_HUB_DISABLE_SYMLINKS);
}

/** True if content stays within its repository's folder. */
export function sharedBlobsDisabled(env: Environment = environment): boolean {
  return isTrue(env.HF_HUB_DISABLE_SHARED_BLOBS) || isTrue(env.HF_HUB_DISABLE_XET);
}

/** True if a variable of the environment says yes, in any of the ways that Hub clients understand. */
export function isTrue(value: string | undefined): boolean {
  return /^(?:1|on|yes|true)$/i.test(value ?? '');
}

/** `~` and `$NAME`: the environment may come from a file that no shell has read. */
export function expand(path: string, env: Environment): string {
  const home = path === '~' || path.startsWith('~/') ? homeOf(env) : undefined;
  const atHome = home === undefined ? path : join(home, path.slice(1));
  return atHome.replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole, name: string, braced: string) => {
    return env[name ?? braced] ?? whole;
  });
}
