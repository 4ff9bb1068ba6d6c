import { badResponse, publicUrl, XetError } from '../core/errors.ts';
import type { UrlKind } from '../core/metrics.ts';
import type { RequestSpec } from './types.ts';

/** Headers that decide who somebody is, or that open what answers only to them. */
const CREDENTIAL_HEADERS =
  /^(authorization|(set-)?cookie2?|host|origin|referer|(proxy|sec)-.*|(x-aws-ec2-)?metadata.*)$/i;

/** True if this can be asked at all. */
export function isWebAddress(url: string): boolean {
  return /^https?:/i.test(url) && URL.canParse(url);
}

/** The server of an address; empty if it is none. */
export function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : '';
}

/**
 * Refuses what is no address, as no attempt makes it one.
 * @param encrypted whether what servers name must be encrypted
 */
export function checkAddress(url: string, kind: UrlKind, encrypted: boolean): void {
  if (isWebAddress(url)) {
    if (!encrypted || kind === 'source' || !isExposed(url)) return;
    throw unencrypted(url);
  }
  const shown = publicUrl(url).slice(0, 200);
  const what = `'${shown}' is not an http(s) address`;
  // These come out of answers.
  if (kind === 'cas' || kind === 'xorb') throw new XetError('PROTOCOL', `${what}, and a server named it as one.`);
  const advice = kind === 'hub' ? 'Correct the endpoint (HF_ENDPOINT).' : 'Name a complete address.';
  throw new XetError('INVALID_ARGUMENT', `${what}. ${advice}`);
}

/** True if others can read what goes there: it is not encrypted, and leaves this machine. */
export function isExposed(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && !/^((.*\.)?localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** Refuses headers that cannot be sent, and that a server asks for where they would give the sender away. */
export function checkHeaders({ kind, headers = {}, url }: Pick<RequestSpec, 'kind' | 'headers' | 'url'>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (kind === 'xorb' && CREDENTIAL_HEADERS.test(name)) {
      throw badResponse(url, `is to be sent the header '${name}', which is never sent there`);
    }
    if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name) && !/[^\t\x20-\x7e\x80-\xff]/.test(value)) continue;
    throw notPlain(/^authorization$/i.test(name) ? 'The access token (HF_TOKEN, accessToken)' : `The header '${name}'`);
  }
}

/** Of what cannot be sent in a header. */
export function notPlain(what: string): XetError {
  return new XetError(
    'INVALID_ARGUMENT',
    `${what} has characters that no header can hold. Copy it again, as plain ASCII text on one line.`,
  );
}

/** A way from https to http: what is sent and what comes could be read and changed by anybody in between. */
export function unencrypted(to: string, from?: string): XetError {
  const source = from === undefined ? 'The server' : publicUrl(from);
  return new XetError('PROTOCOL', `${source} leads to ${publicUrl(to)}, which is not encrypted, and is not followed.`, {
    url: from ?? to,
  });
}
