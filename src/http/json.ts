import { badResponse, type XetError } from '../core/errors.ts';
import type { Reply, ResponseHeaders } from './types.ts';

/** Of answers about one thing. */
export const SMALL_JSON_BYTES = 1024 * 1024;
/** Of a page of a list, and of all that a Hub says of a repository. */
export const LIST_JSON_BYTES = 16 * 1024 * 1024;

/** Of a reconstruction of so many bytes of a file: 2 KiB for each chunk of usual length, which is a term with an address of its own. */
export function reconstructionJsonBytes(fileBytes: number): number {
  return Math.min(SMALL_JSON_BYTES + fileBytes / 32, 2 * LIST_JSON_BYTES);
}

/** Up to here its form makes no difference. */
const SMALL_CHARACTERS = 64 * 1024;
/** An honest value takes more characters, with its name and what stands between; `{},` becomes twenty times its length in memory. */
const MIN_CHARACTERS_A_VALUE = 5;
const MAX_DEPTH = 100;

/** The body as JSON; anything else throws `PROTOCOL`, which another attempt may cure where the body may have been cut off. */
export async function readJson(reply: Reply, maxBytes = SMALL_JSON_BYTES): Promise<unknown> {
  return parseJson(await reply.text(maxBytes), reply);
}

/** The same of a body that was read. */
export function parseJson(text: string, reply: Pick<Reply, 'url' | 'status' | 'headers'>): unknown {
  const { url } = reply;
  if (text.length > SMALL_CHARACTERS && !isHonest(text)) {
    throw badResponse(url, 'answered with JSON that is mostly brackets');
  }
  try {
    return JSON.parse(text);
  } catch {
    // What the engine says of it quotes the text.
    if (isHtml(reply.headers)) throw pageInPlace(reply);
    throw badResponse(url, 'did not answer with JSON', { retryable: true });
  }
}

/** True if a text is what it seems: parsed, it is not a multiple of its length, and it is not nested without end. */
function isHonest(text: string): boolean {
  let values = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: // A string: to its end.
        do at = text.indexOf('"', at + 1);
        while (at > 0 && isEscaped(text, at));
        if (at < 0) return true;
        break;
      case 0x5b:
      case 0x7b:
        values++;
        depth++;
        if (depth > MAX_DEPTH) return false;
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
      case 0x2c:
        values++;
    }
  }
  return values * MIN_CHARACTERS_A_VALUE < text.length;
}

/** True if an odd number of backslashes is before it. */
function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text.charCodeAt(before - 1) === 0x5c) before--;
  return (at - before) % 2 === 1;
}

export const LOGIN_ADVICE = 'Log in with a browser, or set HTTPS_PROXY or HF_ENDPOINT';

export const isHtml = (headers: ResponseHeaders) => /^\s*[\w/]+\bx?html\b/i.test(headers.get('content-type') ?? '');

/** Of an answer that came with success and is a page for people, such as that of a network that wants a login. */
function pageInPlace({ url, status }: Pick<Reply, 'url' | 'status'>): XetError {
  const did = 'answered with a web page in place of data, as networks do that want a login';
  return badResponse(url, `${did}. ${LOGIN_ADVICE}`, { status });
}
