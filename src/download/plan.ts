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

/** One range to fetch, once, for one or more pieces. */
export interface Job {
  signed: SignedXorb;
  range: FetchRange;
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
 * @param length wanted bytes, counted from the reconstruction's offset; `whole` says that they must be all.
 */
export function planDownload(
  from: Reconstruction,
  length: number,
  options: { whole: boolean; maxHeldBytes: number },
): Plan {
  const pieces = cutPieces(from, length, options.whole);
  return { pieces, jobs: assignJobs(from, pieces, options.maxHeldBytes) };
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

function assignJobs(from: Reconstruction, pieces: Piece[], maxHeldBytes: number): Job[] {
  const places = pieces.map(({ term }) => {
    const place = findRange(from, term);
    if (!place) throw new XetError('PROTOCOL', `The reconstruction has no fetch range for xorb ${term.xorb}.`);
    return place;
  });
  const users = new Map<FetchRange, number[]>();
  places.forEach(({ range }, index) => {
    const known = users.get(range);
    if (known) known.push(index);
    else users.set(range, [index]);
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
    const job: Job = { ...place, pieces: [] };
    for (const user of users.get(place.range) ?? []) {
      const other = pieces[user];
      if (!other || user < index || other.job >= 0) continue;
      if (user > index) {
        if (heldBytes + other.term.unpackedLength > maxHeldBytes) break;
        heldBytes += other.term.unpackedLength;
      }
      other.job = jobs.length;
      job.pieces.push(user);
    }
    jobs.push(job);
  });
  return jobs;
}
