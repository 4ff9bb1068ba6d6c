import { publicUrl, XetError } from '../errors.ts';
import type { RequestSpec } from './http.ts';
import type { UrlKind } from './response-error.ts';

/** Headers that decide who somebody is, or that open what answers only to them. */
const CREDENTIAL_HEADERS =
  /^(authorization|cookie2?|set-cookie|host|origin|referer|proxy-.*|sec-.*|metadata|metadata-flavor|x-aws-ec2-metadata-.*)$/i;

/** Whether this can be asked at all. */
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
    if (!encrypted || kind === 'source' || !/^http:/i.test(url) || isThisMachine(url)) return;
    throw new XetError(
      'PROTOCOL',
      `The server leads to ${publicUrl(url)}, which is not encrypted, and nothing is sent there.`,
      { url },
    );
  }
  const shown = publicUrl(url).slice(0, 200);
  // These come out of answers.
  if (kind === 'cas' || kind === 'xorb')
    throw new XetError('PROTOCOL', `The server named '${shown}' as an address, which is not http(s).`);
  const what = kind === 'hub' ? 'Correct the endpoint (HF_ENDPOINT).' : 'Name a complete address.';
  throw new XetError('INVALID_ARGUMENT', `'${shown}' is not an http(s) address. ${what}`);
}

/** What goes there leaves no machine. */
const isThisMachine = (url: string) => /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);

/** Refuses headers that cannot be sent, and that a server asks for where they would give the sender away. */
export function checkHeaders({ kind, headers = {}, url }: Pick<RequestSpec, 'kind' | 'headers' | 'url'>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (kind === 'xorb' && CREDENTIAL_HEADERS.test(name)) {
      throw new XetError(
        'PROTOCOL',
        `The server asks for the header '${name}' at ${publicUrl(url)}, which is never sent there.`,
        { url },
      );
    }
    if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name) && !/[^\t\x20-\x7e\x80-\xff]/.test(value)) continue;
    const isToken = name.toLowerCase() === 'authorization';
    const advice = isToken
      ? 'Set HF_TOKEN, or accessToken, to the token alone: without line breaks, in ASCII.'
      : 'Use ASCII.';
    throw new XetError(
      'INVALID_ARGUMENT',
      `The ${isToken ? 'access token' : `header '${name}'`} has characters that no header may hold. ${advice}`,
    );
  }
}
