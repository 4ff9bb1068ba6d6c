import type { FetchRange } from '../cas/reconstruction.ts';
import { isXetError, XetError } from '../errors.ts';
import type { PartPiece } from '../http/multipart.ts';
import type { FetchTogether } from './fetch-runs.ts';
import { multi, type RangeSource } from './open-range.ts';

/** One request for all ranges of a job, where that needs no preflight. */
export const fetchTogether: FetchTogether = async function* (source, parts) {
  try {
    for await (const { start, bytes } of openGroup(source, source.xorb, source.ranges, source.signal)) {
      source.onNetworkBytes(bytes.length);
      source.lanes.received(bytes.length);
      const part = parts.find(({ cutter }) => cutter.received === start);
      if (!part)
        throw new XetError('PROTOCOL', `Xorb ${source.xorb}: a part begins at byte ${start}.`, { retryable: true });
      yield* part.push(bytes);
      if (part.received) yield* part.finish();
    }
  } catch (error) {
    if (source.signal.aborted || !isXetError(error) || !(error.retryable || error.code === 'FORBIDDEN')) throw error;
    for (const part of parts) yield* part.keepWhole();
  }
};

/**
 * All the given ranges of a xorb with one request, as far as the server answers so. They must share a signed
 * address. Each piece is of use until the next is asked for.
 */
async function* openGroup(
  source: RangeSource,
  xorb: string,
  ranges: readonly FetchRange[],
  signal: AbortSignal,
): AsyncGenerator<PartPiece, void, undefined> {
  const [first] = ranges;
  if (!first) return;
  const signed = source.urls.find(xorb, first);
  try {
    return yield* multi(source, signed.url, ranges, signal);
  } catch (error) {
    if (!isXetError(error, 'FORBIDDEN')) throw error;
  }
  const renewed = await source.urls.renew(xorb, first, signed.url, signal);
  yield* multi(source, renewed.url, ranges, signal);
}
