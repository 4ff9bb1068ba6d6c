import { etagCheck, type Verified } from '../core/content-hash.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { type ByteRange, rangeHeader, without } from '../core/ranges.ts';
import { checkPartial } from '../http/content-range.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { Read } from './read.ts';
import type { Transport } from './transport.ts';

/** Gives a part of a file from elsewhere, as far as it can. */
export type Before = (
  part: ByteRange,
  fetched: (part: ByteRange) => AsyncIterable<Uint8Array>,
) => AsyncIterable<Uint8Array>;

/**
 * The bytes of a range over plain HTTP. A broken connection is continued where it broke. The end of a whole
 * file is reached only after its content was checked against its entity tag; how is the return value.
 *
 * @param whole whether the range ends a whole file that is to be verified, for which what lies before it is needed as well.
 * @param before gives what lies before the range; `fetched` gives what it lacks.
 */
export async function* readPlain(
  transport: Transport,
  read: Read,
  whole: boolean,
  before: Before = (part, fetched) => fetched(part),
): AsyncGenerator<Uint8Array, Verified | undefined, undefined> {
  const { file, range } = read;
  const check = whole ? checkOf(transport, file) : undefined;
  if (check && range.start > 0) {
    const fetched = (part: ByteRange) => persistent(transport, { ...read, range: part });
    for await (const bytes of before({ start: 0, end: range.start }, fetched)) check.hash.update(bytes);
  }
  for await (const bytes of persistent(transport, read)) {
    check?.hash.update(bytes);
    yield bytes;
  }
  return check && sealed(file, check);
}

export interface PlainTarget {
  /** Parts in place, ascending and disjoint. */
  had: readonly ByteRange[];
  read: (range: ByteRange) => AsyncIterable<Uint8Array>;
  write: (at: number, bytes: Uint8Array) => Promise<void>;
}

/** Fetches what is missing of a whole file, and hashes all of it on the way; gives how it was found to be right. */
export async function fillPlain(transport: Transport, read: Read, target: PlainTarget): Promise<Verified> {
  const { file } = read;
  const check = checkOf(transport, file);
  const parts = [
    ...target.had,
    ...without({ start: 0, end: file.size }, target.had).map((hole) => ({ ...hole, hole })),
  ];
  for (const part of parts.sort((a, b) => a.start - b.start)) {
    let at = part.start;
    const missing = 'hole' in part;
    const bytes = missing ? persistent(transport, { ...read, range: part }) : target.read(part);
    for await (const run of bytes) {
      check.hash.update(run);
      if (missing) await target.write(at, run);
      at += run.length;
    }
  }
  return sealed(file, check);
}

type Check = NonNullable<ReturnType<typeof etagCheck>>;

function checkOf({ makeHash }: Transport, file: ResolvedFile): Check {
  if (file.repo.type === 'bucket') {
    throw new XetError(
      'UNSUPPORTED',
      `'${file.path}' is in a bucket, so it can only be verified over Xet, which is switched off (xet, HF_HUB_DISABLE_XET).`,
    );
  }
  const check = etagCheck(file.etag, file.size, makeHash);
  if (check) return check;
  throw new XetError(
    'INTEGRITY',
    `'${file.path}' cannot be verified: the server gives no content hash (etag '${file.etag}').`,
  );
}

async function sealed(file: ResolvedFile, check: Check): Promise<Verified> {
  if ((await check.hash.digest()) === file.etag) return check.verified;
  // It may be what is wrong: whoever tries again gets all from the server.
  file.beginning = undefined;
  throw new XetError(
    'INTEGRITY',
    `'${file.path}' does not have the content hash that the Hub gave for it (${file.etag}).`,
  );
}

/** A range in as many requests as it takes. */
export async function* persistent(transport: Transport, read: Read): AsyncGenerator<Uint8Array, void, undefined> {
  const { file, range, signal, policy, http, report } = read;
  let at = range.start;
  const known = policy === 'refetch' ? undefined : file.beginning;
  // The address that the Hub leads to is signed and runs out: once after each progress it is asked for anew.
  let mayBeExpired = true;
  const { attempts } = transport;
  const tries = http.tries({ kind: 'hub', attempts, waits: true, signal });
  while (at < range.end) {
    try {
      // A copy of what is known: whoever gets it may do with it what he likes.
      for await (const bytes of known && at < known.length
        ? [known.slice(at, range.end)]
        : once(transport, { ...read, range: { start: at, end: range.end } })) {
        report.network?.(bytes.length);
        at += bytes.length;
        tries.progressed();
        mayBeExpired = true;
        yield bytes;
      }
    } catch (error) {
      if (isXetError(error, 'FORBIDDEN') && mayBeExpired) {
        mayBeExpired = false;
        continue;
      }
      if (!isXetError(error) || !error.retryable) throw error;
      await tries.failed(error);
    }
  }
}

async function* once(
  { hub }: Transport,
  { file, range, signal, policy, http }: Read,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reply = await http.send({
    kind: 'hub',
    url: file.url,
    headers: { ...(await hub.headers()), range: rangeHeader(range) },
    signal,
    cache: policy === 'refetch' ? 'no-store' : undefined,
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
