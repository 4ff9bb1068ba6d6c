import type { FetchRange } from '../../cas/reconstruction.ts';
import { isHashHex } from '../../core/hash.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { signedUrl } from '../context.ts';
import { asObject, readBody } from '../http/body-reader.ts';
import { explicitRanges, requestedRange, writeRanges } from '../http/byte-range.ts';
import type { HubExchange } from '../http/exchange.ts';
import { parseJson } from '../http/json.ts';
import { sendMultipart } from '../http/multipart.ts';
import { sendPartial } from '../http/ranged.ts';
import { notFound, type Route } from '../http/route.ts';
import { checkSignedPath } from '../http/signature.ts';
import { HubError } from '../hub-error.ts';
import type { Mirror } from './mirror.ts';
import { primed } from './primed.ts';
import { wantsFresh } from './questions.ts';
import type { MirroredFile } from './reconstructions.ts';
import { forwardToCas } from './uploads.ts';
import { type FilePart, partOf } from './wire.ts';
import { runEnd } from './xorb-runs.ts';

/** Path of signed xorb URLs. No repository has such a name. */
export const XORB_PREFIX = '-xorbs';
const SIGNED_RANGE = 'X-Xet-Signed-Range';
const MAX_RANGES = 256;
const MAX_KEYS_BYTES = 1024 * 1024;
const MAX_KEYS = 5000;
/** A range that was fetched a moment ago is not fetched again, whoever asks. */
const REPAIR_EVERY_MS = 10_000;

/** The CAS of a mirror, for the mirror's own tokens. */
export function mirrorCasRoute(mirror: Mirror, exchange: HubExchange, rest: string[]): Route {
  const cas = (kind: Route['kind'], run: () => Promise<void>): Route => ({ family: 'cas', kind, run });
  const [version = '', what = '', hash = ''] = rest;
  const reads = exchange.method === 'GET';
  if (what === 'reconstructions' && (version === 'v1' || version === 'v2')) {
    if (reads && hash !== '') {
      return cas('reconstruction', () => sendReconstruction(mirror, exchange, version, hashIn(hash)));
    }
    if (version === 'v1' && hash === '' && (reads || exchange.method === 'POST')) {
      return cas('reconstruction', () => sendReconstructions(mirror, exchange));
    }
  }
  if (what === 'telemetry') {
    return cas('telemetry', async () => {
      await readBody(exchange.request, MAX_KEYS_BYTES);
      await exchange.json(200, {});
    });
  }
  const isUpload = ['chunks', 'xorbs', 'shards'].includes(what);
  return isUpload ? cas('other', () => forwardToCas(mirror, exchange, rest)) : notFound(exchange, 'cas');
}

async function sendReconstruction(
  mirror: Mirror,
  exchange: HubExchange,
  version: 'v1' | 'v2',
  hash: string,
): Promise<void> {
  const file = await mirror.reconstructions.file(mirror.tokens.unseal(exchange.bearer()), hash);
  const asked = requestedRange(exchange.header('range'), file.size);
  if (asked === 'unsatisfiable') throw new HubError(416, 'Range not satisfiable');
  const range: ByteRange = asked ?? { start: 0, end: file.size };
  const part = await partOf(file, range, (xorb) => mirror.cache.runs(xorb));
  await exchange.json(200, {
    offset_into_first_range: part.offsetIntoFirstTerm,
    terms: writeTerms(part),
    ...(version === 'v2'
      ? { xorbs: fetches(mirror, exchange, file, part, writeV2) }
      : { fetch_info: fetches(mirror, exchange, file, part, writeV1) }),
  });
}

/** Several whole files: `?file_id=` each, or a list of keys as the body. */
async function sendReconstructions(mirror: Mirror, exchange: HubExchange): Promise<void> {
  const grant = mirror.tokens.unseal(exchange.bearer());
  const hashes = exchange.method === 'GET' ? exchange.query.getAll('file_id') : await readKeys(exchange);
  const files: Record<string, unknown> = {};
  const info: Record<string, unknown[]> = {};
  for (const file of await mirror.reconstructions.files(grant, [...new Set(hashes.map(hashIn))])) {
    const part = await partOf(file, { start: 0, end: file.size }, async () => []);
    files[file.hash] = writeTerms(part);
    for (const [xorb, written] of Object.entries(fetches(mirror, exchange, file, part, writeV1))) {
      info[xorb] = [...(info[xorb] ?? []), ...written];
    }
  }
  await exchange.json(200, { files, fetch_info: info });
}

async function readKeys(exchange: HubExchange): Promise<unknown[]> {
  const keys = parseJson((await readBody(exchange.request, MAX_KEYS_BYTES)).toString());
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) {
    throw new HubError(400, `A list of at most ${MAX_KEYS} keys was expected`);
  }
  return keys.map((key) => (typeof key === 'string' ? key : asObject(key).hash));
}

function writeTerms({ terms }: FilePart) {
  return terms.map(({ xorb, chunks, unpackedLength }) => ({
    hash: xorb,
    unpacked_length: unpackedLength,
    range: chunks,
  }));
}

type WriteRanges = (ranges: FetchRange[], url: string) => unknown[];

function fetches(mirror: Mirror, exchange: HubExchange, file: MirroredFile, { ranges }: FilePart, write: WriteRanges) {
  return Object.fromEntries(
    [...ranges].map(([xorb, all]): [string, unknown[]] => {
      const groups: unknown[] = [];
      for (let first = 0; first < all.length; first += MAX_RANGES) {
        const some = all.slice(first, first + MAX_RANGES);
        const { asker, scope } = file.grant;
        const url = signedUrl(mirror.context, exchange, `/${XORB_PREFIX}/${xorb}`, {
          file: file.hash,
          asker,
          scope,
          [SIGNED_RANGE]: `bytes=${writeRanges(some.map(({ bytes }) => bytes))}`,
        });
        groups.push(...write(some, url));
      }
      return [xorb, groups];
    }),
  );
}

const inclusive = ({ start, end }: ByteRange) => ({ start, end: end - 1 });

const writeV1: WriteRanges = (ranges, url) =>
  ranges.map(({ chunks, bytes }) => ({ range: chunks, url, url_range: inclusive(bytes) }));

const writeV2: WriteRanges = (ranges, url) => [
  { url, ranges: ranges.map(({ chunks, bytes }) => ({ chunks, bytes: inclusive(bytes) })) },
];

/** Ranges of a xorb for whoever holds a signed URL, no more than it was signed for. */
export async function sendMirrorXorb(mirror: Mirror, exchange: HubExchange, xorb: string): Promise<void> {
  const { query } = exchange;
  if (!checkSignedPath(mirror.context.signer, exchange.path, query, mirror.context.settings.now())) {
    throw new HubError(403, 'Access denied');
  }
  const signed = explicitRanges(query.get(SIGNED_RANGE) ?? '') ?? [];
  const asked = explicitRanges(exchange.header('range') ?? '') ?? [];
  if (asked.length > MAX_RANGES || overlap(asked)) throw new HubError(416, 'Too many ranges, or ranges that overlap');
  if (asked.length === 0 || !asked.every((range) => signed.some((outer) => holds(outer, range)))) {
    throw new HubError(403, 'Access denied');
  }
  // After a restart the client asks for the reconstruction again, as for an expired URL.
  const file = mirror.reconstructions.shown(
    query.get('asker') ?? '',
    query.get('scope') ?? '',
    query.get('file') ?? '',
  );
  if (!file) throw new HubError(403, 'Access denied');
  const all = (file.found.xorbs.get(xorb) ?? []).flatMap(({ ranges }) => ranges);
  const outerOf = (range: ByteRange) => {
    const outer = all.find(({ bytes }) => holds(bytes, range));
    // The upstream cuts this file in another way since.
    if (!outer) throw new HubError(403, 'Access denied');
    return outer;
  };
  asked.map(outerOf);
  if (wantsFresh(exchange)) await repair(mirror, xorb, asked);
  const source = mirror.reconstructions.source(file, xorb);
  const content = {
    size: Math.max(...all.map(({ bytes }) => bytes.end)),
    read: async function* (range: ByteRange) {
      const wanted = { source, outer: outerOf(range), unit: 'bytes' as const, ...range };
      for await (const { run, frames } of mirror.fetches.read(wanted, exchange.signal)) {
        yield frames.subarray(Math.max(0, range.start - run.start), Math.max(0, range.end - run.start));
      }
      mirror.checkLater(file);
    },
  };
  const headers = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    'cache-control': 'public, max-age=31536000, immutable',
    etag: `"${xorb}"`,
  };
  const [only] = asked;
  if (asked.length === 1 && only) return sendPartial(exchange, await primed(exchange, content), only, headers);
  return sendMultipart(exchange, content, asked, headers);
}

/** Drops what is stored of some ranges, so that it is fetched again: a client found it damaged. */
async function repair(mirror: Mirror, xorb: string, ranges: readonly ByteRange[]): Promise<void> {
  if (!mirror.upstream.isAvailable) return;
  const now = Date.now();
  const dropped = (await mirror.cache.runs(xorb)).filter((run) => {
    const key = `${xorb} ${run.firstChunk}`;
    const isAsked = ranges.some(({ start, end }) => run.start < end && runEnd(run, 'bytes') > start);
    if (!isAsked || now - (mirror.repairedAt.get(key) ?? 0) < REPAIR_EVERY_MS) return false;
    mirror.repairedAt.set(key, now);
    return true;
  });
  if (dropped.length > 0) await mirror.cache.forget(xorb, dropped);
}

function holds(outer: ByteRange, inner: ByteRange): boolean {
  return outer.start <= inner.start && inner.end <= outer.end;
}

function overlap(ranges: ByteRange[]): boolean {
  const sorted = ranges.toSorted((a, b) => a.start - b.start);
  return sorted.some(({ start }, index) => index > 0 && start < (sorted[index - 1]?.end ?? 0));
}

function hashIn(text: unknown): string {
  if (!isHashHex(text)) throw new HubError(400, 'Not a hash');
  return text;
}
