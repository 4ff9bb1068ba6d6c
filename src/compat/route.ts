import { compatError } from './errors.ts';
import { functionOf, isOwnFault, originalOf, switchedOff, warnOnce } from './original.ts';
import { checkParameters } from './parameters.ts';
import type { CompatPlatform } from './platform.ts';

/** Parameters of a call that affect its route. */
interface Stoppable {
  signal?: AbortSignal;
  abortSignal?: AbortSignal;
}

/** Behaviour of a call without Xet: the original ignores `HF_HUB_DISABLE_XET`. */
export type WithoutXet<P> = ((params: P) => P) | 'by-xetkit' | 'as-it-is';

export interface Rule<P> {
  /** `by-xetkit` is for calls that the original cannot make without Xet: xetkit makes them over plain HTTP. */
  withoutXet: WithoutXet<P>;
  /** Tells whether the original supports the call. Default: it does. */
  fits?: (params: P) => boolean;
}

type Call<P, R> = (params: P) => R;

/** The original's function, where the switches send the call there. */
async function switched<P, R>(
  platform: CompatPlatform,
  name: string,
  rule: Rule<P>,
  params: P,
): Promise<Call<P, R> | undefined> {
  const { mode, xetDisabled } = platform.switches();
  const wanted = mode === 'off' || switchedOff();
  const withoutXet = !wanted && xetDisabled && mode !== 'strict' && rule.withoutXet !== 'by-xetkit';
  if (!wanted && !withoutXet) return undefined;
  if (rule.fits && !rule.fits(params)) return undefined;
  const original = await originalOf(platform);
  const found = original && functionOf<[P], R>(original, name);
  if (!found) {
    if (wanted) warnOnce(`@huggingface/hub is not installed, or has no '${name}': xetkit goes on in its place.`);
    return undefined;
  }
  if (!xetDisabled || typeof rule.withoutXet !== 'function') return found;
  const { withoutXet: change } = rule;
  return (given) => found(change(given));
}

/** The original's function, for a call that failed for a reason of xetkit's own. */
async function rescuer<P, R>(
  platform: CompatPlatform,
  name: string,
  error: unknown,
  params: P,
  fits: (params: P) => boolean = () => true,
): Promise<Call<P, R> | undefined> {
  const { signal, abortSignal } = (params ?? {}) as Stoppable;
  if (!isOwnFault(error, signal ?? abortSignal) || !fits(params)) return undefined;
  if (platform.switches().mode === 'strict') return undefined;
  const original = await originalOf(platform);
  const found = original && functionOf<[P], R>(original, name);
  if (!found) return undefined;
  const reason = error instanceof Error ? error.message : String(error);
  warnOnce(`${name} failed (${reason}) and was handed to @huggingface/hub. XETKIT_COMPAT=strict forbids that.`);
  return found;
}

/** A function that the switches may send to the original, and that it may be handed to once if xetkit cannot do it. */
export function withFallback<P, R>(
  platform: CompatPlatform,
  name: string,
  rule: Rule<P>,
  call: (platform: CompatPlatform, params: P) => Promise<R>,
): (params: P) => Promise<R> {
  return async (params) => {
    const elsewhere = await switched<P, Promise<R>>(platform, name, rule, params);
    if (elsewhere) return elsewhere(params);
    try {
      return await call(platform, checkParameters(name, params));
    } catch (error) {
      const instead = await rescuer<P, Promise<R>>(platform, name, error, params, rule.fits);
      if (instead) return instead(params);
      throw compatError(error);
    }
  };
}

/** The same for what is given one by one. Once something was given, nobody else can go on. */
export function eachWithFallback<P, T, R>(
  platform: CompatPlatform,
  name: string,
  rule: Rule<P>,
  call: (platform: CompatPlatform, params: P) => AsyncGenerator<T, R, undefined>,
): (params: P) => AsyncGenerator<T, R, undefined> {
  return async function* (params) {
    const elsewhere = await switched<P, AsyncGenerator<T, R, undefined>>(platform, name, rule, params);
    if (elsewhere) return yield* elsewhere(params);
    let begun = false;
    let own: AsyncGenerator<T, R, undefined> | undefined;
    try {
      own = call(platform, checkParameters(name, params));
      for (;;) {
        const { done, value } = await own.next();
        if (done) return value;
        begun = true;
        yield value;
      }
    } catch (error) {
      const instead = begun
        ? undefined
        : await rescuer<P, AsyncGenerator<T, R, undefined>>(platform, name, error, params, rule.fits);
      if (instead) return yield* instead(params);
      throw compatError(error);
    } finally {
      await own?.return(undefined as R);
    }
  };
}
