import { XetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';
import { parseContentRange } from './content-range.ts';

/** Bytes of one part of a `multipart/byteranges` answer, as they arrive. */
export interface PartPiece {
  /** Offset of these bytes in the whole resource. */
  start: number;
  bytes: Uint8Array;
}

const HEADER_LIMIT_BYTES = 8192;
const CR_LF_CR_LF = [13, 10, 13, 10];

/** The boundary of a multipart answer, or undefined if it is none. */
export function multipartBoundary(contentType: string | null): string | undefined {
  const match = /^multipart\/byteranges\s*;.*?boundary\s*=\s*(?:"([^"]+)"|([^;\s]+))/i.exec(contentType ?? '');
  return match?.[1] ?? match?.[2];
}

/**
 * Takes a multipart answer apart without holding it: each part's length is known from its `Content-Range`.
 * Parts that were not asked for, a part that is missing and a body that ends early throw `PROTOCOL`.
 */
export async function* readMultipart(
  chunks: AsyncIterable<Uint8Array>,
  boundary: string,
  asked: readonly ByteRange[],
): AsyncGenerator<PartPiece, void, undefined> {
  const missing = new Set(asked.map(({ start, end }) => `${start}-${end}`));
  let buffer: Uint8Array = new Uint8Array();
  /** Offset at which the current part continues; undefined between parts. */
  let part: ByteRange | undefined;
  let ended = false;
  for await (const chunk of chunks) {
    let rest = chunk;
    while (rest.length > 0 && !ended) {
      if (part) {
        const taken = Math.min(rest.length, part.end - part.start);
        yield { start: part.start, bytes: rest.subarray(0, taken) };
        part.start += taken;
        rest = rest.subarray(taken);
        if (part.start === part.end) part = undefined;
        continue;
      }
      buffer = join(buffer, rest);
      const head = splitHead(buffer, boundary);
      if (!head) {
        if (buffer.length > HEADER_LIMIT_BYTES) throw broken('a part has no end to its header');
        break;
      }
      rest = head.rest;
      buffer = new Uint8Array();
      ended = head.last;
      if (head.last) break;
      const { range } = head;
      if (!missing.delete(`${range.start}-${range.end}`))
        throw broken(`bytes ${range.start}–${range.end - 1} were not asked for`);
      part = { ...range };
    }
  }
  if (part) throw broken('it ends in the middle of a part');
  if (missing.size > 0) throw broken(`${missing.size} of ${asked.length} parts are missing`);
}

type Head = { last: true; rest: Uint8Array } | { last: false; rest: Uint8Array; range: ByteRange };

/** The delimiter and header at the front of the buffer; undefined while they are not all there. */
function splitHead(buffer: Uint8Array, boundary: string): Head | undefined {
  const text = latin1(buffer.subarray(0, HEADER_LIMIT_BYTES));
  const delimiter = `--${boundary}`;
  const at = text.indexOf(delimiter);
  if (at < 0) return undefined;
  if (text.slice(0, at).trim() !== '') throw broken('there is something between its parts');
  if (text.startsWith('--', at + delimiter.length)) return { last: true, rest: new Uint8Array() };
  const end = text.indexOf('\r\n\r\n', at);
  if (end < 0) return undefined;
  const range = parseContentRange(/^content-range:\s*(.*)$/im.exec(text.slice(at, end))?.[1] ?? null)?.range;
  if (!range || range.start >= range.end) throw broken('a part does not say its range');
  return { last: false, rest: buffer.subarray(end + CR_LF_CR_LF.length), range };
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

function broken(what: string): XetError {
  return new XetError('PROTOCOL', `The multipart answer is malformed: ${what}.`, { retryable: true });
}
