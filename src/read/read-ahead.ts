import type { ByteRange } from '../core/ranges.ts';

/** Reads that follow one another: where the next is expected, and how much was fetched for them. */
interface SequentialPattern {
  /** End of the last read. */
  at: number;
  /** Bytes of the last fetch; 0 before there was one for its own sake. */
  windowBytes: number;
  /** End of the last fetch. */
  fetchedEnd: number;
}

/** Bytes at the start and at the end of a file, where headers and footers are, and the first step of reading ahead. */
export const FIRST_BYTES = 256 * 1024;
/** Elsewhere a read takes with it what lies around it, in steps of so many bytes: a chunk is about that long. */
export const STEP_BYTES = 64 * 1024;
/** A reader that leaves out less than this is still going on: what it skips is mostly padding. */
const SKIP_BYTES = 64 * 1024;
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;
/** Readers of columns follow several places of a file in turn. */
const MAX_TRAILS = 8;

/** Decides what to fetch around a read: more of the file the longer reads are sequential. Does no I/O. */
export class ReadAhead {
  readonly #fileBytes: number;
  readonly #mostBytes: number;
  /** Those followed last at the end. */
  readonly #trails: SequentialPattern[] = [];

  /** @param mostBytes of one fetch. */
  constructor(fileBytes: number, mostBytes: number) {
    this.#fileBytes = fileBytes;
    this.#mostBytes = Math.min(MAX_WINDOW_BYTES, mostBytes);
  }

  /** Notes a read, whether or not it had to be fetched. */
  follow({ start, end }: ByteRange): void {
    const trail = this.#trailTo(start);
    if (!trail) return;
    trail.at = Math.max(trail.at, end);
    this.#latest(trail);
  }

  /** Range to fetch for a read with missing bytes: at least those. Notes the read as {@link follow} does. */
  window(read: ByteRange, missing: ByteRange): ByteRange {
    if (missing.end - missing.start >= this.#mostBytes) {
      this.follow(read);
      return missing;
    }
    const going = this.#trailTo(read.start);
    const trail = going ?? { at: 0, windowBytes: 0, fetchedEnd: 0 };
    const window = this.#extended(missing, going);
    trail.at = read.end;
    trail.windowBytes = going || window.start === 0 ? window.end - window.start : 0;
    trail.fetchedEnd = window.end;
    this.#latest(trail);
    return window;
  }

  #extended(missing: ByteRange, going: SequentialPattern | undefined): ByteRange {
    const size = this.#fileBytes;
    const first = Math.min(FIRST_BYTES, this.#mostBytes);
    if (size <= first) return { start: 0, end: size };
    if (going) {
      // What was fetched and is gone before its turn was too much.
      const lost = missing.start < going.fetchedEnd;
      const bytes = Math.min(Math.max(going.windowBytes * (lost ? 0.5 : 2), first), this.#mostBytes);
      return this.#within(missing.start, Math.max(missing.end, missing.start + bytes));
    }
    if (missing.start < STEP_BYTES) return this.#within(0, Math.max(missing.end, first));
    // Footers are read backwards: their length first.
    if (missing.end > size - STEP_BYTES) return this.#within(Math.min(missing.start, size - first), size);
    const start = Math.floor(missing.start / STEP_BYTES) * STEP_BYTES;
    return this.#within(start, Math.ceil(missing.end / STEP_BYTES) * STEP_BYTES);
  }

  #within(start: number, end: number): ByteRange {
    return { start: Math.max(0, start), end: Math.min(Math.ceil(end), this.#fileBytes) };
  }

  #trailTo(start: number): SequentialPattern | undefined {
    return this.#trails.findLast(({ at }) => at <= start && start <= at + SKIP_BYTES);
  }

  #latest(trail: SequentialPattern): void {
    const index = this.#trails.indexOf(trail);
    if (index >= 0) this.#trails.splice(index, 1);
    this.#trails.push(trail);
    if (this.#trails.length > MAX_TRAILS) this.#trails.shift();
  }
}
