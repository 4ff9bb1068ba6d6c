import { MAX_CHUNK_BYTES, MAX_XORB_CHUNKS } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import { isHashHex } from '../core/hash.ts';
import { isCount, isRecord } from '../core/json-values.ts';
import { type ByteRange, type ChunkRange, contains } from '../core/ranges.ts';
import { ITEMS_AT_ONCE, type Steps } from '../core/steps.ts';

/** A run of chunks of one xorb that makes a run of the file. */
export interface Term {
  xorb: string;
  chunks: ChunkRange;
  /** Uncompressed bytes of the whole run. */
  unpackedLength: number;
}

/** Chunks of a xorb and the physical bytes that hold them. */
export interface FetchRange {
  chunks: ChunkRange;
  bytes: ByteRange;
}

/** One signed address and the ranges of a xorb that it serves. */
export interface SignedXorb {
  xorb: string;
  url: string;
  ranges: FetchRange[];
}

/** Reconstruction of a file or a range, with terms in file order. Xet protocol: file reconstruction. */
export interface Reconstruction {
  /** Bytes of the first term that lie before the range asked for. */
  offsetIntoFirstTerm: number;
  terms: Term[];
  /** By xorb hash; each term lies within one range of its xorb. */
  xorbs: Map<string, SignedXorb[]>;
}

/** Serialised bytes of a xorb, at most: 64 MiB, and room for frame headers and a footer. */
const MAX_XORB_BYTES = 68 * 1024 * 1024;

/**
 * Reads the JSON of `GET /v2/reconstructions` or `/v1/reconstructions` and believes none of it unchecked:
 * afterwards every term lies in exactly one fetch range and every length is possible.
 */
export function* readReconstruction(body: unknown): Steps<Reconstruction> {
  if (!isRecord(body) || !Array.isArray(body.terms)) throw malformed('it has no terms');
  const terms = yield* readTerms(body.terms);
  const xorbs = isRecord(body.xorbs) ? yield* readXorbs(body.xorbs, entryV2) : yield* readV1(body.fetch_info);
  const offsetIntoFirstTerm = body.offset_into_first_range ?? 0;
  if (!isCount(offsetIntoFirstTerm) || offsetIntoFirstTerm > (terms[0]?.unpackedLength ?? 0)) {
    throw malformed('the offset into the first term is out of bounds');
  }
  const reconstruction = { offsetIntoFirstTerm, terms, xorbs };
  for (const [index, term] of terms.entries()) {
    if (!findRange(reconstruction, term)) throw unheld(term);
    if (index % ITEMS_AT_ONCE === ITEMS_AT_ONCE - 1) yield;
  }
  return reconstruction;
}

/**
 * Reads the JSON of `GET /v1/reconstructions?file_id=…` for several whole files, by file hash, believing as little. The
 * ranges of all files come in one list: of those each file has the ones that its own terms need, and no wider ones.
 */
export function* readReconstructions(body: unknown): Steps<Map<string, Reconstruction>> {
  if (!isRecord(body) || !isRecord(body.files)) throw malformed('it has no files');
  const all = yield* readV1(body.fetch_info);
  const files = new Map<string, Reconstruction>();
  for (const [file, items] of Object.entries(body.files)) {
    if (!isHashHex(file) || !Array.isArray(items)) throw malformed('a file has no hash or no terms');
    const terms = yield* readTerms(items);
    files.set(file, { offsetIntoFirstTerm: 0, terms, xorbs: narrowest(terms, all) });
  }
  return files;
}

function narrowest(terms: readonly Term[], all: Map<string, SignedXorb[]>): Map<string, SignedXorb[]> {
  const chosen = new Map<string, Set<SignedXorb>>();
  for (const term of terms) {
    const best = placesIn({ xorbs: all }, term.xorb)?.narrowest(term.chunks);
    if (!best) throw unheld(term);
    chosen.set(term.xorb, (chosen.get(term.xorb) ?? new Set()).add(best.signed));
  }
  return new Map([...chosen].map(([xorb, signed]) => [xorb, [...signed]]));
}

/** A range of a xorb and the signed URL that serves it. */
export interface RangePlace {
  signed: SignedXorb;
  range: FetchRange;
}

/** Ranges of many files in one xorb may overlap; the narrowest is looked for among so many. */
const MAX_LOOKS = 64;

/** The ranges of a xorb in an order in which they are found without looking at all of them. */
class Places {
  readonly #byStart: RangePlace[];
  /** For each of them the one that reaches farthest, of it and all before it. */
  readonly #farthest: RangePlace[] = [];
  readonly #exact = new Map<string, RangePlace>();

  constructor(all: readonly SignedXorb[]) {
    this.#byStart = all.flatMap((signed) => signed.ranges.map((range) => ({ signed, range })));
    this.#byStart.sort((a, b) => a.range.chunks.start - b.range.chunks.start);
    let best: RangePlace | undefined;
    for (const place of this.#byStart) {
      if (!best || place.range.chunks.end > best.range.chunks.end) best = place;
      this.#farthest.push(best);
      const key = keyOf(place.range);
      if (!this.#exact.has(key)) this.#exact.set(key, place);
    }
  }

  holding(chunks: ChunkRange): RangePlace | undefined {
    const place = this.#farthest[this.#lastFrom(chunks.start)];
    return place && contains(place.range.chunks, chunks) ? place : undefined;
  }

  /** The narrowest that holds chunks of those that begin closest before them. */
  narrowest(chunks: ChunkRange): RangePlace | undefined {
    const last = this.#lastFrom(chunks.start);
    let best: RangePlace | undefined;
    for (let index = last; index >= Math.max(0, last - MAX_LOOKS); index--) {
      const place = this.#byStart[index];
      if (place && contains(place.range.chunks, chunks) && (!best || width(place) < width(best))) best = place;
    }
    return best ?? this.holding(chunks);
  }

  /** Index of the last one that begins at a chunk or before it. */
  #lastFrom(chunk: number): number {
    let low = 0;
    for (let high = this.#byStart.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.#byStart[middle]?.range.chunks.start ?? 0) <= chunk) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  same(range: FetchRange): RangePlace | undefined {
    return this.#exact.get(keyOf(range));
  }
}

const width = ({ range: { chunks } }: RangePlace) => chunks.end - chunks.start;
const keyOf = ({ chunks, bytes }: FetchRange) => `${chunks.start} ${chunks.end} ${bytes.start} ${bytes.end}`;

/** A file may have a hundred thousand terms, and a xorb thousands of ranges. */
const placesOf = new WeakMap<readonly SignedXorb[], Places>();

function placesIn({ xorbs }: Pick<Reconstruction, 'xorbs'>, xorb: string): Places | undefined {
  const all = xorbs.get(xorb);
  if (!all) return undefined;
  const known = placesOf.get(all) ?? new Places(all);
  placesOf.set(all, known);
  return known;
}

/** The signed address and range that hold a term. */
export function findRange(from: Reconstruction, term: Pick<Term, 'xorb' | 'chunks'>): RangePlace | undefined {
  return placesIn(from, term.xorb)?.holding(term.chunks);
}

/** The signed address of this very range. */
export function findSame(from: Reconstruction, xorb: string, range: FetchRange): SignedXorb | undefined {
  return placesIn(from, xorb)?.same(range)?.signed;
}

function* readTerms(items: readonly unknown[]): Steps<Term[]> {
  const terms: Term[] = [];
  for (const item of items) {
    terms.push(readTerm(item));
    if (terms.length % ITEMS_AT_ONCE === 0) yield;
  }
  return terms;
}

function readTerm(item: unknown): Term {
  const term = isRecord(item) ? item : {};
  const chunks = readChunks(term.range);
  const { hash, unpacked_length: unpackedLength } = term;
  if (!isHashHex(hash)) throw malformed('a term has no xorb hash');
  if (!isCount(unpackedLength) || unpackedLength > (chunks.end - chunks.start) * MAX_CHUNK_BYTES) {
    throw malformed(`a term of ${chunks.end - chunks.start} chunks claims ${shown(unpackedLength)} bytes`);
  }
  return { xorb: hash, chunks, unpackedLength };
}

/** An address and its ranges as an answer has them; `bytes` and `chunks` of each are read later. */
interface Entry {
  url: unknown;
  ranges: unknown[];
}

function entryV2(item: unknown, xorb: string): Entry {
  const { url, ranges } = isRecord(item) ? item : {};
  if (!Array.isArray(ranges) || ranges.length === 0) throw malformed(`xorb ${xorb} has an address without ranges`);
  return { url, ranges };
}

function entryV1(item: unknown): Entry {
  const { url, range: chunks, url_range: bytes } = isRecord(item) ? item : {};
  return { url, ranges: [{ chunks, bytes }] };
}

function readV1(fetchInfo: unknown): Steps<Map<string, SignedXorb[]>> {
  if (!isRecord(fetchInfo)) throw malformed('it has no fetch information');
  return readXorbs(fetchInfo, entryV1);
}

function* readXorbs(
  xorbs: Record<string, unknown>,
  entryOf: (item: unknown, xorb: string) => Entry,
): Steps<Map<string, SignedXorb[]>> {
  const read = new Map<string, SignedXorb[]>();
  let steps = 0;
  for (const [xorb, items] of Object.entries(xorbs)) {
    if (!isHashHex(xorb) || !Array.isArray(items)) throw malformed('a xorb has no hash or no addresses');
    const signed: SignedXorb[] = [];
    const all: FetchRange[] = [];
    for (const item of items) {
      const entry = entryOf(item, xorb);
      const ranges: FetchRange[] = [];
      for (const value of entry.ranges) {
        const { chunks, bytes } = isRecord(value) ? value : {};
        const range = { chunks: readChunks(chunks), bytes: readBytes(bytes) };
        ranges.push(range);
        all.push(range);
        if (++steps % ITEMS_AT_ONCE === 0) yield;
      }
      signed.push({ xorb, url: readUrl(entry.url), ranges });
    }
    checkConsistent(xorb, all);
    read.set(xorb, signed);
  }
  return read;
}

/** Ranges of a xorb that overlap in bytes but not in chunks, or the reverse, cannot all be true. */
function checkConsistent(xorb: string, ranges: FetchRange[]): void {
  const sorted = [...ranges].sort((a, b) => a.chunks.start - b.chunks.start || a.chunks.end - b.chunks.end);
  let chunkEnd = 0;
  let byteEnd = 0;
  let before: FetchRange | undefined;
  for (const range of sorted) {
    const { chunks, bytes } = range;
    const sameStart = before?.chunks.start === chunks.start;
    const ordered =
      before === undefined || (sameStart ? before.bytes.start === bytes.start : before.bytes.start < bytes.start);
    if (!ordered || chunks.start < chunkEnd !== bytes.start < byteEnd)
      throw malformed(`ranges of xorb ${xorb} overlap`);
    chunkEnd = Math.max(chunkEnd, chunks.end);
    byteEnd = Math.max(byteEnd, bytes.end);
    before = range;
  }
}

function readChunks(value: unknown): ChunkRange {
  const { start, end } = isRecord(value) ? value : {};
  if (!isCount(start) || !isCount(end) || start >= end || end > MAX_XORB_CHUNKS) {
    throw malformed(`a chunk range is ${shown(start)}–${shown(end)}`);
  }
  return { start, end };
}

/** The wire form includes its last byte; here ends are excluded. */
function readBytes(value: unknown): ByteRange {
  const { start, end } = isRecord(value) ? value : {};
  if (!isCount(start) || !isCount(end) || start > end || end >= MAX_XORB_BYTES) {
    throw malformed(`a byte range is ${shown(start)}–${shown(end)}`);
  }
  return { start, end: end + 1 };
}

function readUrl(value: unknown): string {
  if (typeof value === 'string' && /^https?:\/\//.test(value) && URL.canParse(value)) return value;
  throw malformed('a fetch range has no address');
}

/** A number as it is; of anything else only what kind of thing it is, as it may be of any size. */
function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : typeof value;
}

function unheld({ xorb, chunks }: Term): XetError {
  return malformed(`no fetch range holds chunks ${chunks.start}–${chunks.end} of xorb ${xorb}`);
}

function malformed(what: string): XetError {
  return new XetError('PROTOCOL', `The reconstruction from the CAS is malformed: ${what}.`);
}

/** A term, and where its first byte lies in the file. */
export interface PlacedTerm extends Term {
  at: number;
}
