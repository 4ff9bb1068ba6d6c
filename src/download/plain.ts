import { isXetError, XetError } from '../errors.ts';
import { checkPartial } from '../http/content-range.ts';
import type { Http } from '../http/http.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { type ByteRange, rangeHeader } from '../ranges.ts';
import { etagCheck, type MakeContentHash, type Verified } from './content-hash.ts';

export interface PlainSource {
  http: Http;
  headers: () => Promise<Record<string, string>>;
  makeHash: MakeContentHash;
  attempts: number;
}

export interface PlainOptions {
  signal: AbortSignal;
  fresh: boolean;
  onNetworkBytes: (bytes: number) => void;
  /** Whether the range ends a whole file that is to be verified. */
  whole: boolean;
  /** The file's bytes before the range, where they are at hand: they belong into the hash, too. */
  earlier?: (() => AsyncIterable<Uint8Array>) | undefined;
}

/**
 * The bytes of a range over plain HTTP. A broken connection is continued where it broke. The end of a whole
 * file is reached only after its content was checked against its entity tag; how is the return value.
 */
export async function* readPlain(
  source: PlainSource,
  file: ResolvedFile,
  range: ByteRange,
  options: PlainOptions,
): AsyncGenerator<Uint8Array, Verified | undefined, undefined> {
  const check = options.whole ? etagCheck(file.etag, file.size, source.makeHash) : undefined;
  if (options.whole && !check) {
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' cannot be verified: the server gives no content hash (etag '${file.etag}').`,
    );
  }
  if (check && range.start > 0) {
    const before = { start: 0, end: range.start };
    for await (const bytes of options.earlier?.() ?? persistent(source, file, before, options))
      check.hash.update(bytes);
  }
  for await (const bytes of persistent(source, file, range, options)) {
    check?.hash.update(bytes);
    yield bytes;
  }
  if (check && (await check.hash.digest()) !== file.etag) {
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' does not have the content hash that the Hub gave for it (${file.etag}).`,
    );
  }
  return check?.verified;
}

/** A range in as many requests as it takes. */
async function* persistent(
  source: PlainSource,
  file: ResolvedFile,
  range: ByteRange,
  options: PlainOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = range.start;
  // The address that the Hub leads to is signed and runs out: once after each progress it is asked for anew.
  let mayBeExpired = true;
  for (let failures = 0; at < range.end; ) {
    try {
      for await (const bytes of once(source, file, { start: at, end: range.end }, options)) {
        options.onNetworkBytes(bytes.length);
        at += bytes.length;
        failures = 0;
        mayBeExpired = true;
        yield bytes;
      }
    } catch (error) {
      if (isXetError(error, 'FORBIDDEN') && mayBeExpired) {
        mayBeExpired = false;
        continue;
      }
      if (!isXetError(error) || !error.retryable || ++failures >= source.attempts) throw error;
      await source.http.pause(failures, source.attempts, error, 'hub', options.signal);
    }
  }
}

async function* once(
  { http, headers }: PlainSource,
  file: ResolvedFile,
  range: ByteRange,
  { signal, fresh }: PlainOptions,
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
    if (wanted.length < bytes.length) {
      throw new XetError('PROTOCOL', `'${file.path}' is longer than the Hub said.`, {
        url: file.url,
        retryable: true,
      });
    }
  }
  if (left > 0) {
    throw new XetError('NETWORK', `The connection ended ${left} bytes too early.`, { url: file.url, retryable: true });
  }
}
