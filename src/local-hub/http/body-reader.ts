import type { IncomingMessage } from 'node:http';
import { HubError } from '../hub-error.ts';

/** A whole request body, refused as soon as it passes the limit. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of bodyPieces(request)) {
    length += piece.length;
    if (length > maxBytes) throw tooLarge(maxBytes);
    pieces.push(piece);
  }
  return Buffer.concat(pieces, length);
}

/** The body as it arrives. Stopping early leaves the connection open, so that an answer can still be sent. */
export function bodyPieces(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false });
}

/** A JSON object from a request body; everything in it is still unknown. */
export async function readJsonObject(request: IncomingMessage, maxBytes: number): Promise<Record<string, unknown>> {
  const body = await readBody(request, maxBytes);
  return asObject(parseJson(body.toString()));
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HubError(400, 'The request body is not JSON.');
  }
}

export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HubError(400, 'A JSON object was expected.');
  }
  return value as Record<string, unknown>;
}

function tooLarge(maxBytes: number): HubError {
  return new HubError(413, `The request body is larger than ${maxBytes} bytes.`);
}
