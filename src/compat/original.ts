import { isXetError } from '../core/errors.ts';
import { HubApiError } from './errors.ts';
import type { CompatPlatform } from './platform.ts';

/** Module passed by the program, for places where packages cannot be resolved: pages and single-file bundles. */
let given: object | undefined;

/**
 * Says what `@huggingface/hub` is, where that cannot be found out: `useOriginal(await import('@huggingface/hub'))`. With
 * `always` every call goes there, as with `XETKIT_COMPAT=off`. `useOriginal(undefined)` forgets it.
 */
export function useOriginal(module: object | undefined, options?: { always?: boolean }): void {
  given = module;
  isSwitchedOff = module !== undefined && options?.always === true;
}
let isSwitchedOff = false;

/** True if the program always uses the original. */
export const switchedOff = () => isSwitchedOff;

export async function originalOf(platform: CompatPlatform): Promise<object | undefined> {
  return given ?? platform.loadOriginal();
}

/** A function of the original, if it has it. */
export function functionOf<A extends unknown[], R>(original: object, name: string): ((...args: A) => R) | undefined {
  const found: unknown = Reflect.get(original, name);
  return typeof found === 'function' ? (found as (...args: A) => R) : undefined;
}

/**
 * True if xetkit itself is at fault, so that another client may succeed: a codec crash, an unsupported feature, an
 * unintelligible response or a bug. False if the data, the server, the network, the disk or the caller is at fault:
 * another client would fail too, or hide the failure.
 */
export function isOwnFault(error: unknown, signal?: AbortSignal): boolean {
  if (signal?.aborted || error instanceof HubApiError) return false;
  if (isXetError(error)) {
    const { code, status } = error;
    return status === undefined && (code === 'CODEC_CRASHED' || code === 'UNSUPPORTED' || code === 'PROTOCOL');
  }
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  // Aborts have names of their own, and errors of a system have codes.
  return error.name !== 'AbortError' && error.name !== 'TimeoutError' && typeof code !== 'string';
}

const said = new Set<string>();

/** Tells people once of what they should know and need not know twice. */
export function warnOnce(text: string): void {
  if (said.has(text)) return;
  said.add(text);
  console.warn(`xetkit/compat: ${text}`);
}
