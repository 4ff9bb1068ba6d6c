import type { FetchRange } from '../cas/reconstruction.ts';
import { isXetError } from '../core/errors.ts';
import { type ByteRange, rangeHeader } from '../core/ranges.ts';
import { checkPartial, parseContentRange } from '../http/content-range.ts';
import type { Http } from '../http/http.ts';
import { multipartBoundary, type PartPiece, readMultipart } from '../http/multipart.ts';
import type { Reply } from '../http/types.ts';
import type { SignedUrls } from './signed-urls.ts';

export interface RangeSource {
  http: Http;
  rules: RangeRules;
  urls: Pick<SignedUrls, 'find' | 'renew'>;
  /** True to go past every HTTP cache, as an earlier answer was corrupt. */
  refetch: boolean;
  /** Largest request in bytes where a range is fetched in steps. */
  stepBytes?: (() => number) | undefined;
}

/** Requests for ranges that a server accepts, from the least strict on. */
type Rule = 'parts' | 'whole ranges' | 'all ranges at once';

/** A CAS that names a new server each time is not followed for ever. */
const MAX_ORIGINS = 32;

/**
 * Request forms that servers of signed URLs accept, by origin, so that each refusal costs once. A range is fetched in
 * steps where unread responses would pile up on this side of the connection, unless the server serves only whole
 * ranges.
 */
export class RangeRules {
  readonly #stepBytes: number;
  readonly #rules = new Map<string, Rule>();
  readonly #refusesSeveral = new Set<string>();

  constructor(stepBytes: number = Number.POSITIVE_INFINITY) {
    this.#stepBytes = stepBytes;
  }

  /** The range to request for the bytes from `from` on. */
  next(url: string, whole: ByteRange, from: number, mostBytes = Number.POSITIVE_INFINITY): ByteRange {
    if (this.of(url) !== 'parts') return whole;
    return { start: from, end: Math.min(whole.end, from + Math.min(this.#stepBytes, mostBytes)) };
  }

  of(url: string): Rule {
    return this.#rules.get(new URL(url).origin) ?? 'parts';
  }

  /** True if that is worth another plan. */
  learn(url: string, rule: Rule): boolean {
    this.#rules.set(new URL(url).origin, rule);
    return this.#rules.size <= MAX_ORIGINS;
  }

  /** True if several of the ranges of an address may be asked for at once. */
  takesSeveral(url: string): boolean {
    return !this.#refusesSeveral.has(new URL(url).origin);
  }

  refusesSeveral(url: string): void {
    this.#refusesSeveral.add(new URL(url).origin);
  }
}

/** A server turned out to serve all ranges of an address or none: what was planned range by range is to be planned again. */
export class RangesBelongTogether extends Error {}

/**
 * The physical bytes of a range of a xorb from `from` on. Each piece is of use until the next is asked for.
 *
 * How strictly a signed address insists on its range is the server's choice, so the ways are tried from the
 * cheapest on: just the bytes that are missing; with a new address, as the old one may have expired; the
 * whole range; all ranges of the address at once, as a multipart answer.
 */
export async function* openRange(
  source: RangeSource,
  xorb: string,
  range: FetchRange,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { urls, rules } = source;
  const { bytes: whole } = range;
  const wanted = { start: from, end: whole.end };
  let signed = urls.find(xorb, range);
  let refused: Rule | undefined;
  let renewedAt: number | undefined;
  while (wanted.start < whole.end) {
    const { url } = signed;
    const asked = refused === 'parts' ? whole : rules.next(url, whole, wanted.start, source.stepBytes?.());
    const together = signed.ranges.length > 1 && (refused === 'whole ranges' || rules.of(url) === 'all ranges at once');
    const isPart = asked.start > whole.start || asked.end < whole.end;
    try {
      // Of a range that was asked for as a whole the end is wanted.
      let skip = together ? 0 : wanted.start - asked.start;
      const pieces = together
        ? clip(fetchRanges(source, url, signed.ranges, signal), wanted)
        : await requestRange(source, url, asked, signal);
      for await (const piece of pieces) {
        const bytes = piece.subarray(Math.min(skip, piece.length));
        skip -= piece.length - bytes.length;
        if (bytes.length === 0) continue;
        if (refused === 'parts' && rules.of(url) === 'parts') rules.learn(url, 'whole ranges');
        if (refused === 'whole ranges' && rules.of(url) !== 'all ranges at once') {
          if (rules.learn(url, 'all ranges at once')) throw new RangesBelongTogether();
        }
        wanted.start += bytes.length;
        yield bytes;
      }
      // Whoever reads notices that bytes are missing, and where to go on.
      if (together || wanted.start < asked.end) return;
    } catch (error) {
      // Some, as shardline, answer that there is no such thing to whoever asks for a part of what was signed.
      const unknown = isXetError(error, 'ENTRY_NOT_FOUND') && (isPart || signed.ranges.length > 1);
      if (!unknown && !isXetError(error, 'FORBIDDEN')) throw error;
      // Many steps may outlive more than one address.
      if (!unknown && renewedAt !== wanted.start) {
        renewedAt = wanted.start;
        signed = await urls.renew(xorb, range, url, signal);
        continue;
      }
      if (together || (!isPart && signed.ranges.length === 1)) throw error;
      refused = isPart ? 'parts' : 'whole ranges';
    }
  }
}

/** Requests one range of a xorb. */
async function requestRange(
  { http, refetch }: RangeSource,
  url: string,
  range: ByteRange,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const reply = await http.send({
    kind: 'xorb',
    url,
    headers: { range: rangeHeader(range) },
    signal,
    cache: refetch ? 'no-store' : undefined,
    // The reader of the range retries it as a whole, counting what it has received.
    attempts: 1,
  });
  try {
    checkPartial(reply, range);
  } catch (error) {
    reply.drop();
    throw error;
  }
  return reply.lentChunks();
}

/** Some ranges of a xorb with one request, as far as the server answers so. Each piece is of use until the next is asked for. */
export async function* fetchRanges(
  { http, rules, refetch }: RangeSource,
  url: string,
  ranges: readonly FetchRange[],
  signal: AbortSignal,
): AsyncGenerator<PartPiece, void, undefined> {
  const asked = ranges.map((range) => range.bytes);
  const reply = await http.send({
    kind: 'xorb',
    url,
    headers: { range: `bytes=${asked.map(({ start, end }) => `${start}-${end - 1}`).join(',')}` },
    signal,
    cache: refetch ? 'no-store' : undefined,
    attempts: 1,
  });
  const boundary = multipartBoundary(reply.headers.get('content-type'));
  if (boundary === undefined && ranges.length > 1) rules.refusesSeveral(url);
  yield* boundary === undefined ? positioned(reply) : readMultipart(reply.lentChunks(), boundary, asked);
}

/** The bytes of the wanted range out of all that come. */
async function* clip(pieces: AsyncIterable<PartPiece>, wanted: ByteRange): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { start, bytes } of pieces) {
    const first = Math.max(wanted.start - start, 0);
    const last = Math.min(wanted.end - start, bytes.length);
    if (first < last) yield bytes.subarray(first, last);
  }
}

/** A server may answer several ranges with one, or with everything. */
async function* positioned(reply: Reply): AsyncGenerator<PartPiece, void, undefined> {
  let start = parseContentRange(reply.headers.get('content-range'))?.range.start ?? 0;
  for await (const bytes of reply.lentChunks()) {
    yield { start, bytes };
    start += bytes.length;
  }
}
