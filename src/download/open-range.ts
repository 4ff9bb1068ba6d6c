import type { FetchRange } from '../cas/reconstruction.ts';
import { isXetError } from '../errors.ts';
import { checkPartial, parseContentRange } from '../http/content-range.ts';
import type { Http, Reply } from '../http/http.ts';
import { multipartBoundary, type PartPiece, readMultipart } from '../http/multipart.ts';
import { type ByteRange, rangeHeader } from '../ranges.ts';
import type { SignedUrls } from './signed-urls.ts';

export interface RangeSource {
  http: Http;
  urls: SignedUrls;
  steps: RequestSteps;
  /** Past every HTTP cache: an earlier answer was corrupt. */
  fresh: boolean;
}

/**
 * How much of a range is asked for at once. A range comes step by step where answers that nobody reads would pile up on
 * this side of the connection, unless a server turns out to serve whole ranges only.
 */
export class RequestSteps {
  #bytes: number;

  constructor(bytes: number = Number.POSITIVE_INFINITY) {
    this.#bytes = bytes;
  }

  /** The first part of a range. */
  first({ start, end }: ByteRange): ByteRange {
    return { start, end: Math.min(end, start + this.#bytes) };
  }

  /** From here on ranges are asked for as a whole. */
  giveUp(): void {
    this.#bytes = Number.POSITIVE_INFINITY;
  }
}

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
  const { urls, steps } = source;
  const wanted = { start: from, end: range.bytes.end };
  let signed = urls.find(xorb, range);
  const refused = (error: unknown) => isXetError(error, 'FORBIDDEN');
  // Whether a part was asked for that is not all of the range.
  let stepped = false;
  const stepByStep = async function* (url: string): AsyncGenerator<Uint8Array, void, undefined> {
    while (wanted.start < wanted.end) {
      const step = steps.first(wanted);
      stepped = step.end < range.bytes.end;
      for await (const bytes of single(source, url, step, step, signal)) {
        wanted.start += bytes.length;
        yield bytes;
      }
      // Whoever reads notices that bytes are missing, and where to go on.
      if (wanted.start < step.end) return;
    }
  };
  for (let renewedAt: number | undefined; ; ) {
    try {
      return yield* stepByStep(signed.url);
    } catch (error) {
      // Some, as shardline, answer that there is no such thing to whoever asks for a part of what was signed.
      if (isXetError(error, 'ENTRY_NOT_FOUND') && (stepped || wanted.start > range.bytes.start)) break;
      if (!refused(error)) throw error;
      if (renewedAt === wanted.start) {
        const last = wanted.start === range.bytes.start && !stepped && signed.ranges.length === 1;
        if (last) throw error;
        break;
      }
    }
    // Many steps may outlive more than one address.
    renewedAt = wanted.start;
    signed = await urls.renew(xorb, range, signed.url, signal);
  }
  const all =
    signed.ranges.length > 1
      ? within(multi(source, signed.url, signed.ranges, signal), wanted)
      : single(source, signed.url, range.bytes, wanted, signal);
  for await (const bytes of all) {
    if (stepped) steps.giveUp();
    yield bytes;
  }
}

/** Asks for one range and gives the part of it that is wanted, which must be its end. */
async function* single(
  { http, fresh }: RangeSource,
  url: string,
  asked: ByteRange,
  wanted: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reply = await http.send({
    kind: 'xorb',
    url,
    headers: { range: rangeHeader(asked) },
    signal,
    cache: fresh ? 'no-store' : undefined,
    // Whoever reads the range retries it as a whole, counting what it has got.
    attempts: 1,
  });
  try {
    checkPartial(reply, asked);
  } catch (error) {
    reply.drop();
    throw error;
  }
  let skip = wanted.start - asked.start;
  for await (const bytes of reply.lentChunks()) {
    if (bytes.length > skip) yield skip === 0 ? bytes : bytes.subarray(skip);
    skip = Math.max(0, skip - bytes.length);
  }
}

/** Some ranges of a xorb with one request, as far as the server answers so. Each piece is of use until the next is asked for. */
export async function* multi(
  { http, fresh }: RangeSource,
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
    cache: fresh ? 'no-store' : undefined,
    attempts: 1,
  });
  const boundary = multipartBoundary(reply.headers.get('content-type'));
  yield* boundary === undefined ? located(reply) : readMultipart(reply.lentChunks(), boundary, asked);
}

/** The bytes of the wanted range out of all that come. */
async function* within(
  pieces: AsyncIterable<PartPiece>,
  wanted: ByteRange,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { start, bytes } of pieces) {
    const first = Math.max(wanted.start - start, 0);
    const last = Math.min(wanted.end - start, bytes.length);
    if (first < last) yield bytes.subarray(first, last);
  }
}

/** A server may answer several ranges with one, or with everything. */
async function* located(reply: Reply): AsyncGenerator<PartPiece, void, undefined> {
  let start = parseContentRange(reply.headers.get('content-range'))?.range.start ?? 0;
  for await (const bytes of reply.lentChunks()) {
    yield { start, bytes };
    start += bytes.length;
  }
}
