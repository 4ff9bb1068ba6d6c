import { badResponse, type XetError } from '../core/errors.ts';
import { rememberUrl } from '../core/secrets.ts';
import { unencrypted } from './request-checks.ts';
import type { RewriteRedirect } from './types.ts';

/** A request on its way through redirects. */
export interface Hop {
  url: URL;
  method: string;
  body: unknown;
  /** By names in small letters. */
  headers: Map<string, string>;
}

export const MAX_REDIRECTS = 20;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Headers that are not sent to another origin. */
const OF_ONE_SERVER = ['authorization', 'cookie', 'proxy-authorization'];

export function isRedirect(status: number, location: string | null | undefined): location is string {
  return REDIRECTS.has(status) && typeof location === 'string';
}

/**
 * The request that follows a redirect, as `fetch` has it; nothing goes from https to http.
 * @param count of the redirects before
 */
export function nextHop(hop: Hop, status: number, location: string, count: number, rewrite?: RewriteRedirect): Hop {
  const { url: from } = hop;
  if (count >= MAX_REDIRECTS) throw astray(from, 'redirects in a circle: there were too many redirects');
  const url = leadsTo(location, from, rewrite);
  const headers = new Map(hop.headers);
  if (url.origin !== from.origin) for (const name of OF_ONE_SERVER) headers.delete(name);
  const becomesGet = status === 303 ? hop.method !== 'HEAD' : status < 303 && hop.method === 'POST';
  if (!becomesGet) return { ...hop, url, headers };
  headers.delete('content-type');
  return { url, headers, method: 'GET', body: undefined };
}

function leadsTo(location: string, from: URL, rewrite: RewriteRedirect | undefined): URL {
  if (!URL.canParse(location, from)) throw astray(from, 'redirects to what is no address');
  const to = new URL(location, from);
  rememberUrl(to.href);
  if (!/^https?:$/.test(to.protocol)) throw astray(from, 'redirects to what is no http(s) address');
  if (from.protocol === 'https:' && to.protocol === 'http:') throw unencrypted(to.href, from.href);
  return rewrite ? new URL(rewrite(to.href)) : to;
}

/** Of a redirect that no attempt makes better. */
function astray(url: URL, did: string): XetError {
  return badResponse(url.href, did);
}
