import { isXetError, XetError } from '../errors.ts';
import { checkPartial } from '../http/content-range.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { type ByteRange, rangeHeader } from '../ranges.ts';
import { etagCheck, type MakeContentHash } from './content-hash.ts';
import type { ReadOptions } from './engine.ts';

export interface PlainSource {
  http: Http;
  headers: () => Promise<Record<string, string>>;
  makeHash: MakeContentHash;
  attempts: number;
}

/**
 * The bytes of a file that is not in a CAS, over plain HTTP. A broken connection is continued where it broke;
 * a whole file is checked against its entity tag before the last byte is followed by the end.
 */
export async function* readPlain(
  source: PlainSource,
  file: ResolvedFile,
  range: ByteRange,
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = range.start === 0 && range.end === file.size;
  const check = whole ? etagCheck(file.etag, file.size, source.makeHash) : undefined;
  if (whole && !check) {
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' cannot be verified: the server gives no content hash (etag '${file.etag}').`,
    );
  }
  let at = range.start;
  for (let failures = 0; at < range.end; ) {
    try {
      for await (const bytes of fetchFrom(source, file, { start: at, end: range.end }, options)) {
        options.onNetworkBytes(bytes.length);
        check?.hash.update(bytes);
        at += bytes.length;
        failures = 0;
        yield bytes;
      }
    } catch (error) {
      if (!isXetError(error) || !error.retryable || ++failures >= source.attempts) throw error;
      await source.http.pause(failures, source.attempts, error, 'hub', options.signal);
    }
  }
  if (check && (await check.hash.digest()) !== file.etag) {
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' does not have the content hash that the Hub gave for it (${file.etag}).`,
    );
  }
}

async function* fetchFrom(
  { http, headers }: PlainSource,
  file: ResolvedFile,
  range: ByteRange,
  { signal, fresh }: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reply = await http.send({
    kind: 'hub',
    url: file.url,
    headers: { ...(await headers()), range: rangeHeader(range) },
    signal,
    cache: fresh ? 'no-store' : undefined,
    attempts: 1,
  });
  // A server may ignore a range that begins at the start; elsewhere the answer must be the one asked for.
  if (reply.status !== 200 || range.start > 0) {
    try {
      checkPartial(reply, range);
    } catch (error) {
      reply.drop();
      throw error;
    }
  }
  let left = range.end - range.start;
  for await (const bytes of reply.chunks()) {
    const wanted = bytes.subarray(0, left);
    left -= wanted.length;
    if (wanted.length > 0) yield wanted;
    if (wanted.length < bytes.length)
      throw new XetError('PROTOCOL', `'${file.path}' is longer than the Hub said.`, { url: file.url });
  }
  if (left > 0)
    throw new XetError('NETWORK', `The connection ended ${left} bytes too early.`, { url: file.url, retryable: true });
}
