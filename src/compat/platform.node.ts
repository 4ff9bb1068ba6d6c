import { XetClient } from '../client/xet-client.ts';
import { environment } from '../core/env.node.ts';
import type { CompatPlatform, Mode } from './platform.ts';

type Environment = Record<string, string | undefined>;

/** Node, and Deno and Bun, which speak its modules. */
export const compatPlatform: CompatPlatform = {
  makeClient: (options) => new XetClient(options),
  switches: () => readSwitches(environment),
  loadOriginal,
};

/** `XETKIT_COMPAT` and `HF_HUB_DISABLE_XET`. A word that is not known changes nothing. */
export function readSwitches(env: Environment): { mode: Mode; xetDisabled: boolean } {
  const word = (env.XETKIT_COMPAT ?? '').trim().toLowerCase();
  const mode = /^(off|0|no|false)$/.test(word) ? 'off' : word === 'strict' ? 'strict' : 'on';
  return { mode, xetDisabled: /^(1|on|yes|true)$/i.test(env.HF_HUB_DISABLE_XET ?? '') };
}

/** Only that it is not there is no error: one that is there and broken is to be seen. */
export async function loadOriginal(): Promise<object | undefined> {
  try {
    return await import('@huggingface/hub');
  } catch (error) {
    if (isNotInstalled(error)) return undefined;
    throw error;
  }
}

/** Node says it by a code, Bun by another one, Deno in words. */
function isNotInstalled(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND' || error.message.includes('@huggingface/hub');
}
