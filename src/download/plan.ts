import { type FetchRange, findRange, type Reconstruction, type SignedXorb, type Term } from '../cas/reconstruction.ts';
import { XetError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';

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
  /** Ascending, all of one signed address. */
  ranges: FetchRange[];
  /** Indices of the pieces it serves, ascending. */
  pieces: number[];
}

/** What to fetch, in the order in which the file needs it. */
export interface Plan {
  pieces: Piece[];
  jobs: Job[];
}

/** A reconstruction, and what is wanted of the bytes that it tells how to build. */
export interface Section {
  from: Reconstruction;
  /** The bytes of the file that it was asked for. */
  span: ByteRange;
  /** Whether it must reach to the end of the span and no further, as that is the end of the file. */
  exact: boolean;
  /** Ascending, apart from each other, within the span. */
  wanted: readonly ByteRange[];
}

/**
 * Turns a reconstruction into pieces and jobs.
 *
 * A range that several terms use is fetched once, and what later terms need of it is held; where that would
 * hold more than `maxHeldBytes` at once, it is fetched again when its time comes.
 *
 * Small ranges of one signed address are asked for together where that is allowed: each by itself would cost a
 * round trip that is longer than its transfer.
 */
export function planDownload(section: Section, options: PlanOptions): Plan {
  const pieces = cutPieces(section);
  return { pieces, jobs: assignJobs(section.from, pieces, options) };
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
  /** Whether the server may be asked for several ranges at once. */
  group?: boolean;
}

/** Ranges of an address that are smaller than this on average are asked for together, so many at most. */
const SMALL_RANGE_BYTES = 256 * 1024;
const MOST_RANGES_AT_ONCE = 100;

/** Whether the ranges of an address are worth one request. */
function isFragmented({ ranges }: SignedXorb): boolean {
  const bytes = ranges.reduce((sum, range) => sum + range.bytes.end - range.bytes.start, 0);
  return ranges.length > 1 && bytes / ranges.length < SMALL_RANGE_BYTES;
}

function cutPieces({ from, span, exact, wanted }: Section): Piece[] {
  const pieces: Piece[] = [];
  let start = span.start - from.offsetIntoFirstTerm;
  let first = 0;
  for (const term of from.terms) {
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

function assignJobs(from: Reconstruction, pieces: Piece[], { maxHeldBytes, group = false }: PlanOptions): Job[] {
  const places = pieces.map(({ term }) => {
    const place = findRange(from, term);
    if (!place) throw new XetError('PROTOCOL', `The reconstruction has no fetch range for xorb ${term.xorb}.`);
    const together = group && isFragmented(place.signed);
    return { ...place, key: together ? place.signed : place.range };
  });
  const users = new Map<SignedXorb | FetchRange, number[]>();
  places.forEach(({ key }, index) => {
    const known = users.get(key);
    if (known) known.push(index);
    else users.set(key, [index]);
  });

  const jobs: Job[] = [];
  let heldBytes = 0;
  pieces.forEach((piece, index) => {
    const place = places[index];
    if (!place) return;
    if (piece.job >= 0) {
      heldBytes -= piece.term.unpackedLength;
      return;
    }
    const job: Job = { section: 0, signed: place.signed, ranges: [], pieces: [] };
    const ranges = new Set<FetchRange>();
    for (const user of users.get(place.key) ?? []) {
      const other = pieces[user];
      const range = places[user]?.range;
      if (!other || !range || user < index || other.job >= 0) continue;
      if (user > index) {
        if (heldBytes + other.term.unpackedLength > maxHeldBytes) break;
        if (!ranges.has(range) && ranges.size === MOST_RANGES_AT_ONCE) break;
        heldBytes += other.term.unpackedLength;
      }
      ranges.add(range);
      other.job = jobs.length;
      job.pieces.push(user);
    }
    job.ranges = [...ranges].sort((a, b) => a.bytes.start - b.bytes.start);
    jobs.push(job);
  });
  return jobs;
}
