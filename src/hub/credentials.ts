import { decoded } from '../core/secrets.ts';
import { notPlain } from '../http/request-checks.ts';

/**
 * An access token without blanks around it and line breaks in it; undefined if nothing is left. Throws `INVALID_ARGUMENT`,
 * naming `source`, for one that no header can carry.
 */
export function checkToken(text: string | undefined, source: string): string | undefined {
  const token = text?.replace(/[\r\n]/g, '').trim();
  if (!token) return undefined;
  if (/^[\x20-\x7e]+$/.test(token)) return token;
  throw notPlain(`The access token in ${source}`);
}

/** An endpoint without the user and password in it, and the header that says those. */
export function withoutUser(endpoint: string): { endpoint: string; authorization: string | undefined } {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || url.username + url.password === '') return { endpoint, authorization: undefined };
  const bytes = new TextEncoder().encode(`${decoded(url.username)}:${decoded(url.password)}`);
  url.username = '';
  url.password = '';
  return { endpoint: url.href, authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}
