import {
  type FetchRange,
  findRange,
  type RangePlace,
  type Reconstruction,
  type SignedXorb,
  type Term,
} from '../cas/reconstruction.ts';
import { XetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';
import { ITEMS_AT_ONCE, type Steps } from '../core/steps.ts';
import { HeldChunks } from './held-chunks.ts';

/** A run of the wanted bytes, out of one term. Pieces are in file order. */
export interface Piece extends Part {
  term: Term;
  /** Index of the job whose range holds the term. */
  job: number;
  /** Bytes at the start of the term that are not wanted. */
  skip: number;
}

/** Bytes of the file: where they begin in it, and how many they are. */
export interface Part {
  at: number;
  length: number;
}

/** One request's worth of ranges of a xorb, fetched once, for one or more pieces. */
export interface Job {
  /** Index of the reconstruction that it comes from, among those that were planned together. */
  section: number;
  signed: SignedXorb;
  /** Of one signed address: ascending, or all of them as they were signed. */
  ranges: readonly FetchRange[];
  /** Indices of the pieces it serves, ascending. */
  pieces: number[];
  /** True if an earlier job has fetched what its first piece needs. */
  again: boolean;
}

/** Jobs to fetch, in the order of first use in the file. */
export interface Plan {
  pieces: Piece[];
  jobs: Job[];
}

/** A reconstruction, and what is wanted of the bytes that it tells how to build. */
export interface Section {
  from: Reconstruction;
  /** The bytes of the file that it was asked for. */
  span: ByteRange;
  /** True if it must end exactly at the end of the span, because that is the end of the file. */
  exact: boolean;
  /** Ascending, apart from each other, within the span. */
  wanted: readonly ByteRange[];
}

/**
 * Turns a reconstruction into pieces and jobs, in time that grows with the number of terms only.
 *
 * A range that several terms use is fetched once, and what later terms need of it is held: no more than the chunks that
 * were read already, each of them once. Where that would be more than `maxHeldBytes` at once, the range is fetched again
 * when its time comes.
 *
 * Small ranges of one signed address are asked for together where that is allowed: each by itself would cost a
 * round trip that is longer than its transfer.
 */
export function* planDownload(section: Section, options: PlanOptions): Steps<Plan> {
  const pieces = yield* cutPieces(section);
  return { pieces, jobs: yield* assignJobs(section.from, pieces, options) };
}

/** Several plans, in file order, as one: jobs of the next may start before the last one is done. */
export function joinPlans(plans: readonly Plan[]): Plan {
  const joined: Plan = { pieces: [], jobs: [] };
  plans.forEach((plan, section) => {
    const firstJob = joined.jobs.length;
    const firstPiece = joined.pieces.length;
    for (const piece of plan.pieces) joined.pieces.push({ ...piece, job: piece.job + firstJob });
    for (const job of plan.jobs) {
      joined.jobs.push({ ...job, section, pieces: job.pieces.map((index) => index + firstPiece) });
    }
  });
  return joined;
}

/** Bytes of content that the jobs of a plan would bring beside those that are wanted, about. */
export function wasteOf(plan: Plan): number {
  let waste = 0;
  for (const job of plan.jobs) {
    const pieces = job.pieces.flatMap((index) => plan.pieces[index] ?? []);
    const sum = (of: (piece: Piece) => number) => pieces.reduce((total, piece) => total + of(piece), 0);
    const perChunk = sum(({ term }) => term.unpackedLength) / sum(({ term }) => term.chunks.end - term.chunks.start);
    const fetched = perChunk * job.ranges.reduce((total, { chunks }) => total + chunks.end - chunks.start, 0);
    waste += Math.max(0, fetched - sum(({ length }) => length));
  }
  return waste;
}

export interface PlanOptions {
  maxHeldBytes: number;
  /** True if several ranges may be requested at once. */
  group?: boolean;
  /** True if the server of an address serves all of its ranges or none. */
  allAtOnce?: (url: string) => boolean;
}

/** Ranges of an address that are smaller than this on average are asked for together, so many at most. */
const SMALL_RANGE_BYTES = 256 * 1024;
const MAX_RANGES_AT_ONCE = 100;

/** True if the ranges of a URL are worth one joint request. */
function isFragmented({ ranges }: SignedXorb): boolean {
  const bytes = ranges.reduce((sum, range) => sum + range.bytes.end - range.bytes.start, 0);
  return ranges.length > 1 && bytes / ranges.length < SMALL_RANGE_BYTES;
}

function* cutPieces({ from, span, exact, wanted }: Section): Steps<Piece[]> {
  const pieces: Piece[] = [];
  let start = span.start - from.offsetIntoFirstTerm;
  let first = 0;
  for (const [turn, term] of from.terms.entries()) {
    if (turn % ITEMS_AT_ONCE === ITEMS_AT_ONCE - 1) yield;
    const end = start + term.unpackedLength;
    while ((wanted[first]?.end ?? end) <= start) first++;
    for (let index = first; (wanted[index]?.start ?? end) < end; index++) {
      const at = Math.max(start, wanted[index]?.start ?? end);
      const length = Math.min(end, wanted[index]?.end ?? end) - at;
      if (length > 0) pieces.push({ term, job: -1, skip: at - start, at, length });
    }
    start = end;
  }
  if (start < span.end) throw wrongLength('shorter', span.end - span.start);
  if (exact && start > span.end) throw wrongLength('longer', span.end - span.start);
  return pieces;
}

function wrongLength(how: string, length: number): XetError {
  return new XetError(
    'PROTOCOL',
    `The reconstruction from the CAS is malformed: its terms are ${how} than the ${length} bytes of the file.`,
  );
}

/** The pieces of each job: those with one key, in file order. */
interface Users {
  indices: number[];
  /** Those before have a job. */
  next: number;
}

function* assignJobs(from: Reconstruction, pieces: Piece[], options: PlanOptions): Steps<Job[]> {
  const { maxHeldBytes, group = false, allAtOnce = () => false } = options;
  const kinds = new Map<SignedXorb, { together: boolean; all: boolean }>();
  const kindOf = (signed: SignedXorb) => {
    const all = signed.ranges.length > 1 && allAtOnce(signed.url);
    const kind = kinds.get(signed) ?? { all, together: all || (group && isFragmented(signed)) };
    kinds.set(signed, kind);
    return kind;
  };
  const users = new Map<SignedXorb | FetchRange, Users>();
  const places: (RangePlace & { same: Users })[] = [];
  for (const [index, { term }] of pieces.entries()) {
    if (index % ITEMS_AT_ONCE === ITEMS_AT_ONCE - 1) yield;
    const place = findRange(from, term);
    if (!place) throw new XetError('PROTOCOL', `The reconstruction has no fetch range for xorb ${term.xorb}.`);
    const key = kindOf(place.signed).together ? place.signed : place.range;
    const same = users.get(key) ?? { indices: [], next: 0 };
    same.indices.push(index);
    users.set(key, same);
    places.push({ signed: place.signed, range: place.range, same });
  }

  const jobs: Job[] = [];
  const fetched = new Set<FetchRange>();
  /** Bytes that are kept no longer, by the piece that was the last to want them. */
  const letGo = new Map<number, number>();
  let heldBytes = 0;
  let steps = 0;
  for (const [index, piece] of pieces.entries()) {
    if (++steps % ITEMS_AT_ONCE === 0) yield;
    heldBytes -= letGo.get(index) ?? 0;
    const place = places[index];
    if (!place || piece.job >= 0) continue;
    const { signed, same } = place;
    const job: Job = { section: 0, signed, ranges: [], pieces: [], again: fetched.has(place.range) };
    const { all } = kindOf(signed);
    const ranges = new Set<FetchRange>();
    const held = new HeldChunks();
    /** The position in the xorb up to which a piece makes a job read. */
    let head = 0;
    for (; same.next < same.indices.length; same.next++) {
      if (++steps % ITEMS_AT_ONCE === 0) yield;
      const user = same.indices[same.next] ?? 0;
      const other = pieces[user];
      const range = places[user]?.range;
      if (!other || !range) continue;
      const { chunks, unpackedLength } = other.term;
      const read = { start: chunks.start, end: Math.min(chunks.end, head) };
      if (user > index) {
        if (heldBytes + held.bytes + held.costOf(read, unpackedLength) > maxHeldBytes) break;
        if (!all && !ranges.has(range) && ranges.size === MAX_RANGES_AT_ONCE) break;
        held.keep(read, unpackedLength, user);
      }
      head = Math.max(head, chunks.end);
      ranges.add(range);
      fetched.add(range);
      other.job = jobs.length;
      job.pieces.push(user);
    }
    for (const { until, bytes } of held.runs) letGo.set(until, (letGo.get(until) ?? 0) + bytes);
    heldBytes += held.bytes;
    // As they were signed, or the server refuses.
    job.ranges = all ? signed.ranges : [...ranges].sort((a, b) => a.bytes.start - b.bytes.start);
    jobs.push(job);
  }
  return jobs;
}
