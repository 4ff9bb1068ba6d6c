import { randomBytes } from 'node:crypto';
import type { ByteRange } from '../../core/ranges.ts';
import { contentRange } from './byte-range.ts';
import type { HubExchange, OutgoingHeaders } from './exchange.ts';
import type { RangedContent } from './ranged.ts';

/** Sends several ranges as `multipart/byteranges`. */
export function sendMultipart(
  exchange: HubExchange,
  content: RangedContent,
  ranges: ByteRange[],
  headers: OutgoingHeaders,
): Promise<void> {
  const boundary = randomBytes(16).toString('hex');
  const parts = faultyParts(exchange, ranges).map((range) => ({
    range,
    head: Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
        `Content-Range: ${contentRange(range, content.size)}\r\n\r\n`,
    ),
  }));
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const length = parts.reduce((sum, { head, range }) => sum + head.length + range.end - range.start, tail.length);
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    for (const { head, range } of parts) {
      yield head;
      yield* content.read(range);
    }
    yield tail;
  }
  return exchange.send(
    206,
    { ...headers, 'content-type': `multipart/byteranges; boundary=${boundary}` },
    { length, pieces: pieces() },
  );
}

function faultyParts({ fault }: HubExchange, ranges: ByteRange[]): ByteRange[] {
  if (fault?.action === 'reorderParts') return ranges.toReversed();
  if (fault?.action !== 'dropPart') return ranges;
  const dropped = fault.part ?? ranges.length - 1;
  return ranges.filter((_, index) => index !== dropped);
}
