import type { XetClientOptions } from 'xetkit';
import type { FaultAction } from 'xetkit/local-hub';

/** Everything that goes wrong, by the name under which `expectations.ts` says what must come of it. */
export const FAULTS = [
  'connection refused',
  'no answer',
  'reset mid-body',
  'stall mid-body',
  'slow trickle',
  '401',
  '403 expired',
  '404',
  '408',
  '416',
  '429 with Retry-After',
  '429 without Retry-After',
  '500',
  '502',
  '503',
  '504',
  'truncated body',
  'wrong range',
  '200 instead of 206',
  'corrupt byte',
  'wrong length',
  'garbage JSON',
  'oversize JSON',
  'missing part',
  'reordered parts',
] as const;

const HOUR_MS = 3_600_000;

export type FaultName = (typeof FAULTS)[number];

/** Where in a body things go wrong; the kinds of bodies differ too much for one size. */
export interface BodyFacts {
  /** Some of the body, so that what came before is of use. */
  midBytes: number;
  /** So little that nothing of it can be kept, and every attempt fails alike. */
  stuckBytes: number;
  /** A byte whose change must be noticed. */
  corruptOffset: number;
  /** No honest answer of this kind is longer. */
  limitBytes: number;
  /** Slow, but some seconds at most. */
  bytesPerSecond: number;
}

/** The fault for one hit, or for all hits of a run in which it never goes away. */
export function faultAction(name: FaultName, body: BodyFacts, often: 'once' | 'always'): FaultAction {
  const afterBytes = often === 'once' ? body.midBytes : body.stuckBytes;
  switch (name) {
    case 'connection refused':
      return { action: 'refuse' };
    case 'no answer':
      return { action: 'delay', ms: HOUR_MS };
    case 'reset mid-body':
      return { action: 'reset', afterBytes };
    case 'stall mid-body':
      return { action: 'stall', afterBytes };
    case 'slow trickle':
      return { action: 'trickle', bytesPerSecond: body.bytesPerSecond };
    case '401':
      // The words by which the Hub tells a bad token from a repository that is hidden.
      return {
        action: 'status',
        status: 401,
        headers: { 'x-error-message': 'Invalid credentials in Authorization header' },
      };
    case '403 expired':
      return { action: 'status', status: 403, body: 'Request has expired' };
    case '429 with Retry-After':
      return { action: 'status', status: 429, headers: { 'retry-after': often === 'once' ? '1' : '0' } };
    case '429 without Retry-After':
      return { action: 'status', status: 429 };
    case '404':
    case '408':
    case '416':
    case '500':
    case '502':
    case '503':
    case '504':
      return { action: 'status', status: Number(name) };
    case 'truncated body':
      return { action: 'truncate', afterBytes };
    case 'wrong range':
      return { action: 'wrongRange', shiftBytes: 7 };
    case '200 instead of 206':
      return { action: 'fullInsteadOfPartial' };
    case 'corrupt byte':
      return { action: 'corrupt', offset: body.corruptOffset };
    case 'wrong length':
      return { action: 'shorten', toBytes: afterBytes };
    case 'garbage JSON':
      return { action: 'garbageJson' };
    case 'oversize JSON':
      return { action: 'oversizeJson', bytes: body.limitBytes };
    case 'missing part':
      return { action: 'dropPart' };
    case 'reordered parts':
      return { action: 'reorderParts' };
  }
}

/**
 * Timeouts short enough to wait for, where the fault is one of silence. Elsewhere so long that none fires by
 * chance, and that a timer which is left behind keeps its process alive beyond every test's limit.
 */
export function timeoutsFor(name: FaultName): XetClientOptions['timeouts'] {
  return { connectMs: name === 'no answer' ? 300 : HOUR_MS, stallMs: name === 'stall mid-body' ? 150 : HOUR_MS };
}
