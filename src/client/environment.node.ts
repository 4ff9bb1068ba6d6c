import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XetError } from '../core/errors.ts';
import { isNotAllowed } from '../fs/disk-errors.node.ts';
import { expand, hubHome, isTrue } from '../fs/env-folders.node.ts';
import type { HttpTimeouts } from '../http/types.ts';
import { checkToken } from '../hub/credentials.ts';
import { checkEndpoint } from './options.ts';

type Environment = Record<string, string | undefined>;

/** The variables of the environment that Hub clients share, with the meaning that they have for Python's client. */

/** `HF_ENDPOINT`. Throws `INVALID_ARGUMENT` if it is not an address. */
export function endpointOf(env: Environment): string | undefined {
  return env.HF_ENDPOINT ? checkEndpoint(env.HF_ENDPOINT, 'HF_ENDPOINT') : undefined;
}

/** True if no server may be asked. */
export function isOffline(env: Environment): boolean {
  return isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE);
}

/**
 * The access token: the first of `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` and the token file that is not blank. None with
 * `HF_HUB_DISABLE_IMPLICIT_TOKEN`. Throws what names the variable or the file that cannot be used.
 */
export async function tokenOf(env: Environment): Promise<string | undefined> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const token = checkToken(env[name], name);
    if (token !== undefined) return token;
  }
  const path = tokenPath(env);
  return path === undefined ? undefined : checkToken(await readToken(path), `the token file ${path}`);
}

/** Path of the token file that `hf auth login` writes. */
function tokenPath(env: Environment): string | undefined {
  if (env.HF_TOKEN_PATH) return expand(env.HF_TOKEN_PATH, env);
  const home = hubHome(env);
  return home === undefined ? undefined : join(home, 'token');
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || isNotAllowed(cause)) return undefined;
    // Going on without a token would say of private repositories that they do not exist.
    throw new XetError(
      code === 'EACCES' || code === 'EPERM' ? 'PERMISSION' : 'INVALID_ARGUMENT',
      `The token file ${path} cannot be read: ${code || String(cause)}. Correct it, name another one in HF_TOKEN_PATH, or set ` +
        'HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to use no token.',
      { cause },
    );
  }
}

/** `HF_HUB_DOWNLOAD_TIMEOUT` and `HF_HUB_ETAG_TIMEOUT`, which are in seconds. */
export function timeoutsOf(env: Environment): Partial<HttpTimeouts> {
  const download = seconds(env, 'HF_HUB_DOWNLOAD_TIMEOUT');
  const etag = seconds(env, 'HF_HUB_ETAG_TIMEOUT');
  const connect = download ?? etag;
  return {
    ...(connect !== undefined && { connectMs: connect }),
    ...(download !== undefined && { stallMs: download }),
    ...(etag !== undefined && { hubMs: etag }),
  };
}

/** Milliseconds; undefined where the variable says nothing, or 0, which stands for the default. */
function seconds(env: Environment, name: string): number | undefined {
  const text = env[name]?.trim();
  if (!text || Number(text) === 0) return undefined;
  const value = Number(text);
  if (/^\d+(?:\.\d+)?$/.test(text) && value <= MAX_SECONDS) return value * 1000;
  throw new XetError('INVALID_ARGUMENT', `${name} is '${text}'. Set it to a number of seconds up to ${MAX_SECONDS}.`);
}

/** Timers hold no longer time. */
const MAX_SECONDS = 2_000_000;
