import { homedir } from 'node:os';
import { join } from 'node:path';

type Environment = Record<string, string | undefined>;

/** The Hub cache folder that the environment names, as Python's client finds it. */
export function hubCacheDir(env: Environment = process.env): string {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return named ? expand(named, env) : join(hubHome(env), 'hub');
}

/** The folder of everything that Hub clients keep: caches, and the token. */
export function hubHome(env: Environment = process.env): string {
  return expand(env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'), env);
}

/** Whether copies are wanted in place of links. */
export function symlinksDisabled(env: Environment = process.env): boolean {
  return isTrue(env.HF_HUB_DISABLE_SYMLINKS);
}

/** Whether content is to stay within the folder of its own repository. */
export function sharedBlobsDisabled(env: Environment = process.env): boolean {
  return isTrue(env.HF_HUB_DISABLE_SHARED_BLOBS) || isTrue(env.HF_HUB_DISABLE_XET);
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '');
}

/** `~` and `$NAME`: the environment may come from a file that no shell has read. */
function expand(path: string, env: Environment): string {
  const atHome = path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
  return atHome.replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole, name: string, braced: string) => {
    return env[name ?? braced] ?? whole;
  });
}
