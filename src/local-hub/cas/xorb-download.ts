import type { ByteRange } from '../../core/ranges.ts';
import type { HubContext } from '../context.ts';
import { explicitRanges } from '../http/byte-range.ts';
import type { HubExchange } from '../http/exchange.ts';
import { sendMultipart } from '../http/multipart.ts';
import { sendPartial } from '../http/ranged.ts';
import { checkSignedPath } from '../http/signature.ts';
import { HubError } from '../hub-error.ts';
import { SIGNED_RANGE } from './reconstruction.ts';

/** Of one request. Each part of the answer costs more than the few bytes that ask for it. */
export const MAX_RANGES = 256;

/** Ranges of a xorb for whoever holds the signed address; nothing else gives access. */
export async function sendXorb(context: HubContext, exchange: HubExchange, hash: string): Promise<void> {
  const { settings, signer, store } = context;
  if (!checkSignedPath(signer, exchange.path, exchange.query, settings.now())) {
    throw new HubError(403, 'Access denied');
  }
  const signed = explicitRanges(exchange.query.get(SIGNED_RANGE) ?? '') ?? [];
  const asked = explicitRanges(exchange.header('range') ?? '') ?? [];
  const covers = settings.rangeRule === 'exact' ? sameRange : containsRange;
  if (asked.length > MAX_RANGES || overlap(asked)) throw new HubError(416, 'Too many ranges, or ranges that overlap');
  if (asked.length === 0 || !asked.every((range) => signed.some((outer) => covers(outer, range)))) {
    throw new HubError(403, 'Access denied');
  }
  const index = await store.xorbs.index(hash);
  if (!index) throw new HubError(404, 'Not found');
  const content = { size: index.storedBytes, read: (range: ByteRange) => store.xorbs.read(hash, range) };
  const headers = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    'cache-control': 'public, max-age=31536000, immutable',
    etag: `"${hash}"`,
  };
  const [only] = asked;
  if (asked.length === 1 && only) return sendPartial(exchange, content, only, headers);
  return sendMultipart(exchange, content, asked, headers);
}

function overlap(ranges: ByteRange[]): boolean {
  const sorted = ranges.toSorted((a, b) => a.start - b.start);
  return sorted.some(({ start }, index) => index > 0 && start < (sorted[index - 1]?.end ?? 0));
}

function sameRange(a: ByteRange, b: ByteRange): boolean {
  return a.start === b.start && a.end === b.end;
}

function containsRange(outer: ByteRange, inner: ByteRange): boolean {
  return outer.start <= inner.start && inner.end <= outer.end;
}
