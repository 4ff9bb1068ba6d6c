/** For how long it is believed that there is nothing, in milliseconds: what others bring meanwhile is missed. */
const BELIEVED_MS = 500;
const MOST_NAMES = 64;

/** Names under which there was nothing a moment ago: what takes part in a download is asked for several times on its way. */
export class LatelyMissing {
  /** Until when that is believed, in milliseconds of this process. */
  readonly #names = new Map<string, number>();
  readonly #now: () => number;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  has(name: string): boolean {
    return (this.#names.get(name) ?? 0) > this.#now();
  }

  add(name: string): void {
    this.#names.delete(name);
    this.#names.set(name, this.#now() + BELIEVED_MS);
    const [oldest] = this.#names.keys();
    if (this.#names.size > MOST_NAMES && oldest !== undefined) this.#names.delete(oldest);
  }

  delete(name: string): void {
    this.#names.delete(name);
  }
}
