import type { ByteRange } from '../../core/ranges.ts';
import { contentRange, requestedRange } from './byte-range.ts';
import type { HubExchange, OutgoingHeaders } from './exchange.ts';

/** Content of a known size that can be read from anywhere. */
export interface RangedContent {
  size: number;
  read(range: ByteRange): AsyncIterable<Uint8Array>;
}

/** Sends the whole, or the one range that the request asks for. */
export function sendRanged(exchange: HubExchange, content: RangedContent, headers: OutgoingHeaders): Promise<void> {
  const range = requestedRange(exchange.header('range'), content.size);
  const all = { 'accept-ranges': 'bytes', ...headers };
  if (range === 'unsatisfiable') {
    return exchange.text(416, 'Requested range not satisfiable', {
      ...all,
      'content-range': `bytes */${content.size}`,
    });
  }
  return range ? sendPartial(exchange, content, range, all) : sendWhole(exchange, content, all);
}

/**
 * Sends content without a byte. No range could name one, but clients that probe with a range want its size all the
 * same.
 */
export function sendEmpty(exchange: HubExchange, headers: OutgoingHeaders): Promise<void> {
  const probed = requestedRange(exchange.header('range'), 0) === 'unsatisfiable';
  return exchange.send(200, { ...headers, ...(probed && { 'content-range': 'bytes */0' }) });
}

export function sendWhole(exchange: HubExchange, content: RangedContent, headers: OutgoingHeaders): Promise<void> {
  const pieces = content.read({ start: 0, end: content.size });
  return exchange.send(200, headers, { length: content.size, pieces });
}

/** Sends one range, unless a fault wants another one or all of it. */
export function sendPartial(
  exchange: HubExchange,
  content: RangedContent,
  range: ByteRange,
  headers: OutgoingHeaders,
): Promise<void> {
  const { fault } = exchange;
  if (fault?.action === 'fullInsteadOfPartial') return sendWhole(exchange, content, headers);
  const sent = fault?.action === 'wrongRange' ? shifted(range, fault.shiftBytes ?? 1, content.size) : range;
  return exchange.send(
    206,
    { ...headers, 'content-range': contentRange(sent, content.size) },
    { length: sent.end - sent.start, pieces: content.read(sent) },
  );
}

/** Another range: moved on, or back where there is no room, and shorter where that does not do either. */
function shifted({ start, end }: ByteRange, by: number, size: number): ByteRange {
  if (end + by <= size) return { start: start + by, end: end + by };
  if (start >= by) return { start: start - by, end: end - by };
  return { start, end: Math.max(start + 1, end - by) };
}
