import { type FetchRange, findRange, type Reconstruction, type SignedXorb, type Term } from '../cas/reconstruction.ts';
import { XetError } from '../errors.ts';

/** A run of the wanted bytes, out of one term. Pieces are in file order and leave no gap. */
export interface Piece {
  term: Term;
  /** Index of the job whose range holds the term. */
  job: number;
  /** Bytes at the start of the term that are not wanted. */
  skip: number;
  /** Wanted bytes. */
  length: number;
}

/** One request's worth of ranges of a xorb, fetched once, for one or more pieces. */
export interface Job {
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

/**
 * Turns a reconstruction into pieces and jobs.
 *
 * A range that several terms use is fetched once, and what later terms need of it is held; where that would
 * hold more than `maxHeldBytes` at once, it is fetched again when its time comes.
 *
 * Small ranges of one signed address are asked for together where that is allowed: each by itself would cost a
 * round trip that is longer than its transfer.
 *
 * @param length wanted bytes, counted from the reconstruction's offset; `whole` says that they must be all.
 */
export function planDownload(from: Reconstruction, length: number, options: PlanOptions): Plan {
  const pieces = cutPieces(from, length, options.whole);
  return { pieces, jobs: assignJobs(from, pieces, options) };
}

export interface PlanOptions {
  whole: boolean;
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

function cutPieces(from: Reconstruction, length: number, whole: boolean): Piece[] {
  const pieces: Piece[] = [];
  let skip = from.offsetIntoFirstTerm;
  let left = length;
  for (const term of from.terms) {
    if (left === 0) {
      if (whole) throw wrongLength('longer', length);
      break;
    }
    const taken = Math.min(term.unpackedLength - skip, left);
    pieces.push({ term, job: -1, skip, length: taken });
    if (whole && skip + taken < term.unpackedLength) throw wrongLength('longer', length);
    left -= taken;
    skip = 0;
  }
  if (left > 0) throw wrongLength('shorter', length);
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
    const job: Job = { signed: place.signed, ranges: [], pieces: [] };
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
