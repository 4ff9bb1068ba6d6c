import type { ChunkRange } from '../../core/ranges.ts';
import type { Recipe } from '../../core/recipe.ts';

/** Returns the xorbs of a recipe with the range from the first used chunk to the last. */
export function xorbsOf(recipe: Pick<Recipe, 'terms'>): Map<string, ChunkRange> {
  const xorbs = new Map<string, ChunkRange>();
  for (const { xorb, chunks } of recipe.terms) {
    const before = xorbs.get(xorb) ?? chunks;
    xorbs.set(xorb, { start: Math.min(before.start, chunks.start), end: Math.max(before.end, chunks.end) });
  }
  return xorbs;
}

/** Use of a xorb by a file, from the first used chunk to the last. */
export interface XorbUse {
  fileHash: string;
  chunks: ChunkRange;
}

/** Returns the distinct file hashes of uses; with `wanted`, only of those that overlap it. */
export function filesOf(uses: XorbUse[], wanted: ChunkRange | undefined): string[] {
  return [...new Set(uses.filter(({ chunks }) => !wanted || overlaps(chunks, wanted)).map(({ fileHash }) => fileHash))];
}

/** Minimum length of a listing that is worth keeping: shorter ones are read again as quickly. */
const MIN_KEPT_LENGTH = 256;
const KEPT_MS = 2000;
const MAX_KEPT = 32;

/**
 * Keeps long listings of xorbs for a moment. In a repository of 10,000 small files in one xorb, each file looks up the
 * files of that xorb, and reading 10,000 entries takes some 10 ms. Changes by other processes in that moment are
 * missed, which costs a fetch or a vain lookup; own additions are visible at once.
 */
export class XorbListings {
  readonly #kept = new Map<string, { readAt: number; uses: XorbUse[] }>();
  /** Listings that are being read, and uses added meanwhile, which they may lack. */
  readonly #reading = new Map<string, { uses: Promise<XorbUse[]>; added: XorbUse[] }>();

  of(xorb: string, read: () => Promise<XorbUse[]>): Promise<XorbUse[]> {
    const readAt = Date.now();
    const kept = this.#kept.get(xorb);
    if (kept && Math.abs(readAt - kept.readAt) < KEPT_MS) return Promise.resolve(kept.uses);
    this.#kept.delete(xorb);
    const others = this.#reading.get(xorb);
    if (others) return others.uses;
    const added: XorbUse[] = [];
    const uses = read().then((found) => {
      const all = [...found, ...added];
      // Unless all listings were forgotten meanwhile.
      if (this.#reading.get(xorb)?.added === added && all.length >= MIN_KEPT_LENGTH) this.#keep(xorb, readAt, all);
      return all;
    });
    this.#reading.set(xorb, { added, uses });
    const over = () => {
      if (this.#reading.get(xorb)?.added === added) this.#reading.delete(xorb);
    };
    uses.then(over, over);
    return uses;
  }

  #keep(xorb: string, readAt: number, uses: XorbUse[]): void {
    this.#kept.set(xorb, { readAt, uses });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
  }

  add(xorb: string, use: XorbUse): void {
    this.#reading.get(xorb)?.added.push(use);
    this.#kept.get(xorb)?.uses.push(use);
  }

  forget(): void {
    this.#reading.clear();
    this.#kept.clear();
  }
}

export function overlaps(a: ChunkRange, b: ChunkRange): boolean {
  return a.start < b.end && b.start < a.end;
}
