import type { ByteRange } from '../../core/ranges.ts';
import { Breath } from '../breath.ts';
import { type HubContext, signedUrl } from '../context.ts';
import { requestedRange, writeRanges } from '../http/byte-range.ts';
import type { HubExchange } from '../http/exchange.ts';
import { readableFile } from '../hub/content-access.ts';
import { requireScope } from '../hub/xet-token.ts';
import { HubError } from '../hub-error.ts';
import type { FileRecord } from '../store/file-store.ts';
import type { StoredXorbIndex } from '../store/xorb-index.ts';
import { reconstruct, type WireRange, type WireReconstruction } from './reconstruct.ts';

/** The query field that names the ranges a signed xorb address is good for. */
export const SIGNED_RANGE = 'X-Xet-Signed-Range';

export async function sendReconstruction(
  context: HubContext,
  exchange: HubExchange,
  version: 1 | 2,
  hash: string,
): Promise<void> {
  if (!context.settings.reconstructionVersions.includes(version)) throw new HubError(404, 'Not found');
  const caller = requireScope(context, exchange, 'read');
  const file = await readableFile(context, caller, hash);
  if (!file) throw new HubError(404, 'File not found');
  const asked = requestedRange(exchange.header('range'), file.size);
  if (asked === 'unsatisfiable') throw new HubError(416, 'Range not satisfiable');
  const range: ByteRange = asked ?? { start: 0, end: file.size };
  const found = reconstruct(file, await indexesOf(context, file), range, context.settings.mergeRanges);
  await exchange.json(200, {
    offset_into_first_range: found.offsetIntoFirstRange,
    ...writeTerms(found),
    ...(version === 2
      ? { xorbs: writeFetches(found, (xorb, ranges) => writeV2(context, exchange, xorb, ranges)) }
      : { fetch_info: writeFetches(found, (xorb, ranges) => writeV1(context, exchange, xorb, ranges)) }),
  });
}

/** Largest batch answer; larger files can be requested alone. */
const MAX_BATCH_TERMS = 200_000;

/** Several files at once, whole: `?file_id=` each, or a list of keys as the body. */
export async function sendReconstructions(context: HubContext, exchange: HubExchange, hashes: string[]): Promise<void> {
  if (!context.settings.reconstructionVersions.includes(1)) throw new HubError(404, 'Not found');
  const caller = requireScope(context, exchange, 'read');
  const files: Record<string, unknown> = {};
  const fetches: Record<string, unknown[]> = {};
  const breath = new Breath();
  let terms = 0;
  for (const hash of new Set(hashes)) {
    await breath.take();
    const file = await readableFile(context, caller, hash);
    if (!file) continue;
    terms += file.terms.length;
    if (terms > MAX_BATCH_TERMS)
      throw new HubError(413, 'These files are made of too many terms. Ask for fewer at a time.');
    const whole = { start: 0, end: file.size };
    const found = reconstruct(file, await indexesOf(context, file), whole, context.settings.mergeRanges);
    files[hash] = writeTerms(found).terms;
    for (const [xorb, ranges] of found.fetches) {
      fetches[xorb] ??= [];
      for (const written of writeV1(context, exchange, xorb, ranges)) fetches[xorb].push(written);
    }
  }
  await exchange.json(200, { files, fetch_info: fetches });
}

/** The indexes of all xorbs of a file. */
export async function indexesOf({ store }: HubContext, file: FileRecord): Promise<Map<string, StoredXorbIndex>> {
  const indexes = new Map<string, StoredXorbIndex>();
  for (const { xorb } of file.terms) {
    if (indexes.has(xorb)) continue;
    const index = await store.xorbs.index(xorb);
    if (!index) throw new Error(`Xorb ${xorb} is not stored`);
    indexes.set(xorb, index);
  }
  return indexes;
}

function writeTerms({ terms }: WireReconstruction) {
  return {
    terms: terms.map(({ xorb, chunks, unpackedLength }) => ({
      hash: xorb,
      unpacked_length: unpackedLength,
      range: { start: chunks.start, end: chunks.end },
    })),
  };
}

function writeFetches(found: WireReconstruction, write: (xorb: string, ranges: WireRange[]) => unknown[]) {
  return Object.fromEntries([...found.fetches].map(([xorb, ranges]) => [xorb, write(xorb, ranges)]));
}

function writeV1(context: HubContext, exchange: HubExchange, xorb: string, ranges: WireRange[]) {
  return ranges.map((range) => ({
    range: range.chunks,
    url: xorbUrl(context, exchange, xorb, [range]),
    url_range: inclusive(range.bytes),
  }));
}

function writeV2(context: HubContext, exchange: HubExchange, xorb: string, ranges: WireRange[]) {
  const entries: unknown[] = [];
  const most = Math.min(context.settings.maxRangesPerUrl, ranges.length);
  for (let first = 0; first < ranges.length; first += most) {
    const covered = ranges.slice(first, first + most);
    entries.push({
      url: xorbUrl(context, exchange, xorb, covered),
      ranges: covered.map(({ chunks, bytes }) => ({ chunks, bytes: inclusive(bytes) })),
    });
  }
  return entries;
}

function xorbUrl(context: HubContext, exchange: HubExchange, xorb: string, ranges: WireRange[]): string {
  const signed = `bytes=${writeRanges(ranges.map(({ bytes }) => bytes))}`;
  return signedUrl(context, exchange, `/xorbs/default/${xorb}`, { [SIGNED_RANGE]: signed });
}

function inclusive({ start, end }: ByteRange) {
  return { start, end: end - 1 };
}
