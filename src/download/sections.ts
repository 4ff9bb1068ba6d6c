import { type ByteRange, contains } from '../core/ranges.ts';
import { Shared } from '../core/shared.ts';
import type { SignedReconstruction } from './signed-urls.ts';

/** Reconstructions that are remembered of one file, and terms in all of them: a few hundred bytes each. */
const MAX_SECTIONS = 32;
const MAX_TERMS = 8192;

/**
 * Reconstructions of parts of one file that were asked for lately, so that reads of the same parts need no question
 * of their own. Their signed addresses renew themselves, for all who use them.
 *
 * Only what was asked for is remembered, and not the file as a whole: where chunks begin within a term is not
 * in the answer, so that of a term of 64 MiB no part could be fetched with it.
 */
export class Sections {
  /** Those used last at the end. */
  #known: SignedReconstruction[] = [];
  readonly #asking = new Map<string, Shared<SignedReconstruction>>();

  /** Those that have all of a range, the shortest first. */
  covering(range: ByteRange): SignedReconstruction[] {
    return this.#known
      .filter(({ span }) => contains(span, range))
      .sort((a, b) => a.span.end - a.span.start - (b.span.end - b.span.start));
  }

  /** Marks a section as used. */
  touch(section: SignedReconstruction): void {
    const others = this.#known.filter((one) => one !== section);
    if (others.length < this.#known.length) this.#known = [...others, section];
  }

  /** Asks, together with whoever asks the same right now, and remembers the answer. */
  ask(
    span: ByteRange,
    ask: (signal: AbortSignal) => Promise<SignedReconstruction>,
    signal: AbortSignal,
  ): Promise<SignedReconstruction> {
    const key = `${span.start}-${span.end}`;
    const shared = this.#asking.get(key) ?? new Shared<SignedReconstruction>();
    this.#asking.set(key, shared);
    const asking = shared.join(async (joint) => {
      try {
        const section = await ask(joint);
        if (this.#asking.get(key) === shared) this.#remember(section);
        return section;
      } finally {
        if (this.#asking.get(key) === shared) this.#asking.delete(key);
      }
    }, signal);
    return asking;
  }

  #remember(section: SignedReconstruction): void {
    this.#known.push(section);
    let terms = this.#known.reduce((sum, { from }) => sum + from.terms.length, 0);
    while (this.#known.length > MAX_SECTIONS || (terms > MAX_TERMS && this.#known.length > 1)) {
      terms -= this.#known.shift()?.from.terms.length ?? 0;
    }
  }

  /** Forgets them all, also those that are on their way. */
  clear(): void {
    this.#known = [];
    this.#asking.clear();
  }
}
