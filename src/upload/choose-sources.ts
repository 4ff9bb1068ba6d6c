import { type ChunkRecords, chunkLength } from '../core/chunks.ts';
import type { RecipeTerm } from '../core/recipe.ts';
import { type ChunkPlace, FileTerms, follows } from './file-terms.ts';

/** Known places of a sequence of chunks, by their position in it. */
export interface KnownPlaces {
  /** The known place of the chunk at this position; the place right after `before` if the chunk is there as well. */
  find(position: number, before: ChunkPlace | undefined): ChunkPlace | undefined;
}

interface ChosenSources {
  /** A place for each chunk. */
  places: ChunkPlace[];
  /** Positions of the chunks that must be stored, ascending. */
  fresh: number[];
  /** Bytes of known chunks that are stored again to keep the file from being fragmented. */
  refusedBytes: number;
}

/** Decides where each chunk of a file is read from, and collects the file's terms. */
export class SourceChooser {
  readonly #terms = new FileTerms();
  readonly #rule: FragmentationRule;

  constructor(rule = new FragmentationRule()) {
    this.#rule = rule;
  }

  get terms(): FileTerms {
    return this.#terms;
  }

  /** Takes the next chunks of the file from where they are stored, whatever that does to its fragmentation. */
  keep(terms: readonly RecipeTerm[], records: ChunkRecords): void {
    let position = 0;
    for (const { xorb, chunks } of terms) {
      for (let index = chunks.start; index < chunks.end; index++) {
        const place = { xorb, index };
        this.#rule.added(1, follows(place, this.#terms.lastPlace));
        this.#terms.add(place, chunkLength(records, position++));
      }
    }
  }

  /**
   * Chooses places for the next chunks of the file: known ones, or new ones from `store`. A chunk that is stored is
   * found again later in the sequence only if `store` makes it known to `known`.
   */
  choose(lengths: ArrayLike<number>, known: KnownPlaces, store: (position: number) => ChunkPlace): ChosenSources {
    const places: ChunkPlace[] = [];
    const fresh: number[] = [];
    let refusedBytes = 0;
    const add = (position: number, place: ChunkPlace) => {
      this.#rule.added(1, follows(place, this.#terms.lastPlace));
      this.#terms.add(place, lengths[position] ?? 0);
      places.push(place);
    };
    for (let position = 0; position < lengths.length; ) {
      const run = knownRun(position, lengths.length, known, this.#terms.lastPlace);
      const [first] = run;
      if (first && (follows(first, this.#terms.lastPlace) || this.#rule.allows(run.length))) {
        for (const place of run) add(position++, place);
        continue;
      }
      for (const end = position + Math.max(1, run.length); position < end; ) {
        if (run.length > 0) refusedBytes += lengths[position] ?? 0;
        fresh.push(position);
        add(position, store(position));
        position++;
      }
    }
    return { places, fresh, refusedBytes };
  }
}

/** The known chunks from a position on that are consecutive in one xorb. */
function knownRun(start: number, end: number, known: KnownPlaces, before: ChunkPlace | undefined): ChunkPlace[] {
  const run: ChunkPlace[] = [];
  let last = before;
  for (let position = start; position < end; position++) {
    const place = known.find(position, last);
    if (!place || (run.length > 0 && !follows(place, last))) break;
    run.push(place);
    last = place;
  }
  return run;
}

/** Limits of fragmentation. The defaults are those of native clients. */
interface FragmentationLimits {
  /** Number of the file's last terms that are considered. */
  window: number;
  /** Average number of chunks that a term should have. */
  chunksPerTerm: number;
  /** Share of that average to which a file may fall before the first refusal. */
  tolerance: number;
}

const FRAGMENTATION: FragmentationLimits = { window: 128, chunksPerTerm: 8, tolerance: 0.5 };

/**
 * Keeps a file from being spread over ever more xorbs. If its last terms were short, known chunks are stored again
 * unless they form a longer run than those did. The cost of storing them once is repaid by every download.
 */
export class FragmentationRule {
  readonly #limits: FragmentationLimits;
  /** Chunk counts of the last terms, the newest last. */
  readonly #terms: number[] = [];
  #chunks = 0;
  /** True from a refusal until the average has recovered. */
  #strict = false;

  constructor(limits: FragmentationLimits = FRAGMENTATION) {
    this.#limits = limits;
  }

  /** True if a run of this many known chunks may begin a term. Continuing the last term is always allowed. */
  allows(run: number): boolean {
    const { window, chunksPerTerm, tolerance } = this.#limits;
    if (this.#terms.length < window) return true;
    const average = this.#chunks / this.#terms.length;
    if (average >= chunksPerTerm * (this.#strict ? 1 : tolerance)) {
      this.#strict = false;
      return true;
    }
    if (run >= average) return true;
    this.#strict = true;
    return false;
  }

  /** Records chunks added to the file. `continued` is true if they extended its last term. */
  added(chunks: number, continued: boolean): void {
    this.#chunks += chunks;
    if (continued && this.#terms.length > 0) {
      this.#terms[this.#terms.length - 1] = (this.#terms.at(-1) ?? 0) + chunks;
      return;
    }
    this.#terms.push(chunks);
    if (this.#terms.length > this.#limits.window) this.#chunks -= this.#terms.shift() ?? 0;
  }
}
