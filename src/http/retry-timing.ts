import type { ResponseHeaders } from './types.ts';

/** Number of attempts of a request and the delays between them. */
export interface RetryPolicy {
  /** Attempts in all, the first included; at least 1. */
  attempts: number;
  /** Upper bound of the first wait, in milliseconds; doubles each time. */
  baseDelayMs: number;
  /** No own wait is longer than this; a longer one that the server asks for is obeyed. */
  maxDelayMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 6, baseDelayMs: 500, maxDelayMs: 20_000 };

/** A server that asks for a longer wait than this has effectively refused. */
export const MAX_OBEYED_WAIT_MS = 10 * 60_000;

/**
 * The wait before attempt `attempt + 1`, in milliseconds: half fixed, half random, so that many clients that
 * failed together do not come back together. What the server asked for is a lower bound.
 */
export function retryDelay(
  attempt: number,
  policy: RetryPolicy,
  serverAsksMs: number | undefined,
  random: () => number,
): number {
  const ceiling = Math.min(policy.baseDelayMs * 2 ** (attempt - 1), policy.maxDelayMs);
  const own = ceiling / 2 + (ceiling / 2) * random();
  return serverAsksMs === undefined ? own : Math.max(serverAsksMs + own / 4, own);
}

/** Delay that `Retry-After` or `RateLimit` requests, in milliseconds from now; undefined without a usable value. */
export function requestedWait(headers: ResponseHeaders, nowMs: number): number | undefined {
  const retryAfter = headers.get('retry-after')?.trim();
  if (retryAfter) {
    if (/^\d+(\.\d+)?$/.test(retryAfter)) return Number(retryAfter) * 1000;
    const date = Date.parse(retryAfter);
    if (!Number.isNaN(date)) return Math.max(0, date - nowMs);
  }
  // RateLimit: "api";r=0;t=55 — nothing remains, and the window resets in t seconds.
  const limit = headers.get('ratelimit');
  if (limit && /;\s*r=0\b/.test(limit)) {
    const seconds = /;\s*t=(\d+)/.exec(limit)?.[1];
    if (seconds !== undefined) return (Number(seconds) + 1) * 1000;
  }
  return undefined;
}
