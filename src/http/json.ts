import { publicUrl, XetError } from '../errors.ts';
import type { Reply } from './http.ts';

/** No honest answer of the Hub or the CAS is longer. */
export const JSON_LIMIT_BYTES = 256 * 1024 * 1024;

/** The body as JSON; anything else throws `PROTOCOL`, which another attempt may cure. */
export async function readJson(reply: Reply, maxBytes = JSON_LIMIT_BYTES): Promise<unknown> {
  const text = await reply.text(maxBytes);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new XetError('PROTOCOL', `${publicUrl(reply.url)} did not answer with JSON.`, {
      url: reply.url,
      retryable: true,
      cause,
    });
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether this is a number that can count or address bytes. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
