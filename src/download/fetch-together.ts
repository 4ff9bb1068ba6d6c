import type { FetchRange } from '../cas/reconstruction.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { FrameRun } from '../xorb/frames.ts';
import { fetchRanges, type RangeSource } from './open-range.ts';
import type { RangePart } from './range-part.ts';

/** Ranges of one xorb that share a signed address. */
export interface TogetherSource extends RangeSource {
  xorb: string;
  /** Ascending. */
  ranges: readonly FetchRange[];
  signal: AbortSignal;
  /** Called with the number of bytes that came. */
  received: (bytes: number) => void;
}

/** Fetches runs of several ranges of one xorb with one request; missing ranges are left to separate requests. */
export type FetchTogether = (source: TogetherSource, parts: RangePart[]) => AsyncGenerator<FrameRun, void, undefined>;

/** Statuses of servers that do not serve several ranges at once. */
const NOT_SEVERAL = [400, 403, 404, 416];

/** One request for all ranges of a job, where that needs no preflight. */
export const fetchTogether: FetchTogether = async function* (source, parts) {
  try {
    for await (const { start, bytes } of openGroup(source)) {
      source.received(bytes.length);
      const part = parts.find(({ cutter }) => cutter.received === start);
      if (!part)
        throw new XetError('PROTOCOL', `Xorb ${source.xorb}: a part begins at byte ${start}.`, { retryable: true });
      yield* part.push(bytes);
      if (part.received) yield* part.finish();
      if (part.isEnough && parts.every(({ complete }) => complete)) return;
    }
  } catch (error) {
    if (source.signal.aborted || !isXetError(error)) throw error;
    if (!error.retryable && !NOT_SEVERAL.includes(error.status ?? 0)) throw error;
    for (const part of parts) yield* part.keepWhole();
  }
};

/**
 * All ranges of a job with one request, as far as the server answers so. They share a signed address. Each piece is of use
 * until the next is asked for. A server that refuses is not asked for several ranges again.
 */
async function* openGroup(source: TogetherSource): ReturnType<typeof fetchRanges> {
  const { urls, rules, xorb, ranges, signal } = source;
  const [first] = ranges;
  if (!first) return;
  const { url } = urls.find(xorb, first);
  if (!rules.takesSeveral(url) && rules.of(url) !== 'all ranges at once') return;
  const ask = (address: string) => fetchRanges(source, address, ranges, signal);
  let came = false;
  try {
    for await (const piece of ask(url)) {
      came = true;
      yield piece;
    }
    return;
  } catch (error) {
    if (came || !isXetError(error, 'FORBIDDEN')) throw refused(error);
  }
  const renewed = await urls.renew(xorb, first, url, signal);
  try {
    yield* ask(renewed.url);
  } catch (error) {
    throw refused(error);
  }

  function refused(error: unknown): unknown {
    if (!came && isXetError(error) && NOT_SEVERAL.includes(error.status ?? 0)) rules.refusesSeveral(url);
    return error;
  }
}
