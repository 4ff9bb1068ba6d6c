import type { Fetch } from './types.ts';

type AnyFetch = typeof globalThis.fetch;

/** By which a `fetch` that answers some requests itself names the one it passes the others on to. */
export const BENEATH = Symbol.for('xetkit.fetch.beneath');

/** The platform's `fetch`, also where a page has put one of ours in its place, which would ask us again. */
export function beneath(fetch: AnyFetch): AnyFetch {
  let lowest = fetch;
  while (BENEATH in lowest) lowest = lowest[BENEATH] as AnyFetch;
  return lowest;
}

/** The one in place when it is called: tests and tools exchange it. */
export const networkFetch: Fetch = (input, init) => beneath(globalThis.fetch)(input, init);
