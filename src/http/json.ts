import { badResponse, type XetError } from '../core/errors.ts';
import { inTurns } from '../core/event-loop.ts';
import { DishonestJson, parseJson } from '../core/json-in-turns.ts';
import type { Reply, ResponseHeaders } from './types.ts';

/** Of answers about one thing. */
export const SMALL_JSON_BYTES = 1024 * 1024;
/** Of a page of a list, and of all that a Hub says of a repository. */
export const LIST_JSON_BYTES = 16 * 1024 * 1024;

/** Of a reconstruction of so many bytes of a file: 2 KiB for each chunk of usual length, which is a term with an address of its own. */
export function reconstructionJsonBytes(fileBytes: number): number {
  return Math.min(SMALL_JSON_BYTES + fileBytes / 32, 2 * LIST_JSON_BYTES);
}

/**
 * The body as JSON; anything else throws `PROTOCOL`, which another attempt may cure where the body may have been cut off. Others
 * have turns while a long one is parsed; an abort is noticed there.
 */
export async function readJson(reply: Reply, maxBytes = SMALL_JSON_BYTES, signal?: AbortSignal): Promise<unknown> {
  const text = await reply.text(maxBytes);
  try {
    return await inTurns(parseJson(text), signal);
  } catch (error) {
    throw error instanceof SyntaxError || error instanceof DishonestJson ? unreadable(reply, error) : error;
  }
}

function unreadable(reply: Pick<Reply, 'url' | 'status' | 'headers'>, error: unknown): XetError {
  const { url } = reply;
  if (error instanceof DishonestJson) return badResponse(url, 'answered with JSON that is mostly brackets');
  // What the engine says of it quotes the text.
  if (isHtml(reply.headers)) return pageInPlace(reply);
  return badResponse(url, 'did not answer with JSON', { retryable: true });
}

export const LOGIN_ADVICE = 'Log in with a browser, or set HTTPS_PROXY or HF_ENDPOINT';

export const isHtml = (headers: ResponseHeaders) => /^\s*[\w/]+\bx?html\b/i.test(headers.get('content-type') ?? '');

/** Of an answer that came with success and is a page for people, such as that of a network that wants a login. */
function pageInPlace({ url, status }: Pick<Reply, 'url' | 'status'>): XetError {
  const did = 'answered with a web page in place of data, as networks do that want a login';
  return badResponse(url, `${did}. ${LOGIN_ADVICE}`, { status });
}
