import { setRecent } from '../core/lru.ts';

/** Lifetime of an entry. Things that other processes add meanwhile are missed. */
const LIFETIME_MS = 500;
const MAX_NAMES = 64;

/** Names that were absent a moment ago. A download looks the same names up several times. */
export class NegativeCache {
  /** Expiry times, on the clock of `performance.now()`. */
  readonly #names = new Map<string, number>();

  has(name: string): boolean {
    return (this.#names.get(name) ?? 0) > performance.now();
  }

  add(name: string): void {
    setRecent(this.#names, name, performance.now() + LIFETIME_MS, MAX_NAMES);
  }

  delete(name: string): void {
    this.#names.delete(name);
  }
}
