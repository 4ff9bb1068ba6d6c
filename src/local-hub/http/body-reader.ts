import type { IncomingMessage } from 'node:http';
import { HubError } from '../hub-error.ts';
import { parseJson } from './json.ts';

/** A body that comes no faster than this after its first minute is given up: it holds a connection and perhaps memory. */
const MIN_BYTES_PER_SECOND = 1024;
const GRACE_MS = 60_000;

/** Budget for all bodies held in memory. */
const MAX_HELD_BYTES = 512 * 1024 * 1024;
let heldBytes = 0;

const LINE_FEED = 10;

/** Pieces of a body that are held until they are needed as one. */
class HeldBytes {
  #pieces: Buffer[] = [];
  length = 0;

  push(piece: Buffer): void {
    if (heldBytes + piece.length > MAX_HELD_BYTES) {
      throw new HubError(503, 'This Hub has too many requests in hand. Try again.', undefined, { 'retry-after': '1' });
    }
    heldBytes += piece.length;
    this.length += piece.length;
    this.#pieces.push(piece);
  }

  take(): Buffer {
    const [only] = this.#pieces;
    const whole = this.#pieces.length === 1 && only ? only : Buffer.concat(this.#pieces, this.length);
    this.clear();
    return whole;
  }

  clear(): void {
    heldBytes -= this.length;
    this.length = 0;
    this.#pieces = [];
  }
}

/** A whole request body, refused as soon as it passes the limit. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  requireLength(request, maxBytes);
  const held = new HeldBytes();
  try {
    for await (const piece of bodyPieces(request)) {
      if (held.length + piece.length > maxBytes) throw tooLarge(maxBytes);
      held.push(piece);
    }
    return held.take();
  } finally {
    held.clear();
  }
}

/** The lines of a body as they come, without those that are empty. Only one is held at a time. */
export async function* bodyLines(
  request: IncomingMessage,
  { maxBytes, maxLineBytes }: { maxBytes: number; maxLineBytes: number },
): AsyncGenerator<Buffer, void, undefined> {
  requireLength(request, maxBytes);
  const line = new HeldBytes();
  let received = 0;
  try {
    for await (const piece of bodyPieces(request)) {
      received += piece.length;
      if (received > maxBytes) throw tooLarge(maxBytes);
      for (let at = 0; at < piece.length; ) {
        if (line.length === 0 && piece[at] === LINE_FEED) {
          at++;
          continue;
        }
        const end = piece.indexOf(LINE_FEED, at);
        const part = piece.subarray(at, end < 0 ? undefined : end);
        if (line.length + part.length > maxLineBytes) {
          throw new HubError(413, `A line of the request body is longer than ${maxLineBytes} bytes.`);
        }
        if (part.length > 0) line.push(part);
        at = end < 0 ? piece.length : end + 1;
        if (end >= 0 && line.length > 0) yield line.take();
      }
    }
    if (line.length > 0) yield line.take();
  } finally {
    line.clear();
  }
}

/** The body as it arrives. Stopping early leaves the connection open, so that an answer can still be sent. */
export async function* bodyPieces(request: IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
  const since = performance.now();
  let received = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    received += piece.length;
    const ms = performance.now() - since;
    if (ms > GRACE_MS && received < (ms / 1000) * MIN_BYTES_PER_SECOND) {
      throw new HubError(408, 'The request body comes too slowly.', undefined, { connection: 'close' });
    }
    yield piece;
  }
}

/** A JSON object from a request body; everything in it is still unknown. */
export async function readJsonObject(request: IncomingMessage, maxBytes: number): Promise<Record<string, unknown>> {
  const body = await readBody(request, maxBytes);
  return asObject(parseJson(body.toString()));
}

export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HubError(400, 'A JSON object was expected.');
  }
  return value as Record<string, unknown>;
}

/** Refuses before anything is read what says that it is too long, or that would have to be unpacked first. */
function requireLength({ headers }: IncomingMessage, maxBytes: number): void {
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const coding = headers['content-encoding'];
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
    throw new HubError(415, 'Request bodies are taken without a Content-Encoding.');
  }
}

function tooLarge(maxBytes: number): HubError {
  return new HubError(413, `The request body is larger than ${maxBytes} bytes.`);
}
