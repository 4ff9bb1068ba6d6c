import { publicUrl, XetError } from '../errors.ts';
import type { AnswerHeaders, Reply } from './http.ts';

/** No honest answer of the Hub or the CAS is longer. */
export const JSON_LIMIT_BYTES = 256 * 1024 * 1024;

/** The body as JSON; anything else throws `PROTOCOL`, which another attempt may cure. */
export async function readJson(reply: Reply, maxBytes = JSON_LIMIT_BYTES): Promise<unknown> {
  const text = await reply.text(maxBytes);
  try {
    return JSON.parse(text);
  } catch {
    // What the engine says of it quotes the text.
    if (isHtml(reply.headers)) throw pageInPlace(reply);
    throw new XetError('PROTOCOL', `${publicUrl(reply.url)} did not answer with JSON.`, {
      url: reply.url,
      retryable: true,
    });
  }
}

export const LOGIN_ADVICE = 'Open a page in a browser to log in, or set HTTPS_PROXY or HF_ENDPOINT.';

export const isHtml = (headers: AnswerHeaders) =>
  /^\s*(text\/html|application\/xhtml\+xml)\b/i.test(headers.get('content-type') ?? '');

/** Of an answer that came with success and is a page for people, such as that of a network that wants a login. */
function pageInPlace({ url, status }: Reply): XetError {
  const said = `${publicUrl(url)} answered with a web page in place of data, as networks and proxies do that want a login.`;
  return new XetError('PROTOCOL', `${said} ${LOGIN_ADVICE}`, { url, status });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether this is a number that can count or address bytes. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
