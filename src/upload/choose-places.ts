import { type ChunkPlace, type FileTerms, follows } from './file-terms.ts';
import type { FragmentationRule } from './fragmentation.ts';

/** What is known of the chunks at hand, by their position among them. */
export interface KnownPlaces {
  /** Where the chunk at this position is known to be stored; behind `before` if it is there as well. */
  find(position: number, before: ChunkPlace | undefined): ChunkPlace | undefined;
}

export interface PlacesOfChunks {
  /** A place for each of the lengths. */
  places: ChunkPlace[];
  /** Positions of those that are to be stored, ascending. */
  fresh: number[];
  /** Bytes that were known and are stored again, as the file would be scattered otherwise. */
  refusedBytes: number;
}

/**
 * Decides for the next chunks of a file where each of them is taken from: a place that is known, or a new one that
 * `store` gives. Adds them to the file's terms. A chunk that is stored here is known to those after it only if
 * `store` lets `known` know of it.
 */
export function choosePlaces(
  lengths: ArrayLike<number>,
  known: KnownPlaces,
  terms: FileTerms,
  rule: FragmentationRule,
  store: (position: number) => ChunkPlace,
): PlacesOfChunks {
  const places: ChunkPlace[] = [];
  const fresh: number[] = [];
  let refusedBytes = 0;
  const add = (position: number, place: ChunkPlace) => {
    rule.added(1, follows(place, terms.lastPlace));
    terms.add(place, lengths[position] ?? 0);
    places.push(place);
  };
  for (let position = 0; position < lengths.length; ) {
    const run = knownRun(position, lengths.length, known, terms.lastPlace);
    const [first] = run;
    if (first && (follows(first, terms.lastPlace) || rule.allows(run.length))) {
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

/** The known chunks from a position on that lie one behind the other in one xorb. */
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
