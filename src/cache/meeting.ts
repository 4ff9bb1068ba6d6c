import type { PlacedTerm } from '../cas/reconstruction.ts';
import { TaskTurns } from '../core/event-loop.ts';
import type { ByteRange } from '../core/ranges.ts';

/** Terms that are looked at in one task; most looks lead nowhere and take no turn of the event loop. */
const TERMS_PER_TASK = 256;

/** The terms that have something that is wanted; with turns of the event loop in between, as a file may have a hundred thousand. */
export async function* overlappingTerms(
  terms: readonly PlacedTerm[],
  wanted: readonly ByteRange[],
  signal: AbortSignal,
): AsyncGenerator<PlacedTerm, void, undefined> {
  const turns = new TaskTurns(TERMS_PER_TASK);
  let next = 0;
  for (const term of terms) {
    signal.throwIfAborted();
    while ((wanted[next]?.end ?? Number.POSITIVE_INFINITY) <= term.at) next++;
    if ((wanted[next]?.start ?? Number.POSITIVE_INFINITY) < term.at + term.unpackedLength) yield term;
    await turns.after(1);
  }
}
