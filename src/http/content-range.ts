import { publicText, publicUrl, XetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { Reply } from './types.ts';

/** `bytes A-B/T` as a half-open range and the total, which may be unknown (`*`). */
export function parseContentRange(value: string | null): { range: ByteRange; total: number | undefined } | undefined {
  const match = /^bytes\s+(\d+)-(\d+)\/(\d+|\*)$/i.exec(value?.trim() ?? '');
  if (!match) return undefined;
  const [, first, last, total] = match;
  return {
    range: { start: Number(first), end: Number(last) + 1 },
    total: total === '*' ? undefined : Number(total),
  };
}

/**
 * Checks that an answer is the partial content that was asked for. A page may not see `Content-Range` of
 * another origin; there the length has to do.
 */
export function checkPartial(reply: Pick<Reply, 'status' | 'headers' | 'url'>, asked: ByteRange): void {
  const wrong = (what: string, retryable = true) =>
    new XetError('PROTOCOL', `Asked ${publicUrl(reply.url)} for bytes ${asked.start}–${asked.end - 1}, ${what}.`, {
      status: reply.status,
      url: reply.url,
      retryable,
    });
  const coding = reply.headers.get('content-encoding');
  if (coding !== null && !/^\s*(identity)?\s*$/i.test(coding)) {
    // A part of an encoded file is not that part of the file.
    throw wrong(
      `got them in the coding '${publicText(coding).slice(0, 40)}'; a proxy or mirror on the way must leave content as it is`,
      false,
    );
  }
  if (reply.status !== 206) throw wrong(`got status ${reply.status} in place of 206`);
  const said = reply.headers.get('content-range');
  const length = reply.headers.get('content-length');
  if (length !== null && Number(length) !== asked.end - asked.start) throw wrong(`got ${length} bytes`);
  if (said === null) return;
  const given = parseContentRange(said)?.range;
  if (given?.start !== asked.start || given.end !== asked.end) throw wrong(`got '${publicText(said).slice(0, 80)}'`);
}
