import { setRecent } from '../core/lru.ts';

/** For how long it is believed that there is nothing, in milliseconds: what others bring meanwhile is missed. */
const LIFETIME_MS = 500;
const MAX_NAMES = 64;

/** Names under which there was nothing a moment ago: what takes part in a download is asked for several times on its way. */
export class NegativeCache {
  /** Until when that is believed, in milliseconds of this process. */
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
