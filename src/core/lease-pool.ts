/** A value in use: it is not closed before `release` is called. */
export interface Lease<T> {
  value: T;
  /** Further calls do nothing. */
  release(): Promise<void>;
}

interface Entry<T> {
  value: T;
  leases: number;
  evicted: boolean;
}

/**
 * Values by key that are costly to hold, such as clients with workers of their own. The most recently used ones are
 * kept; an evicted one is closed when its last lease is released.
 */
export class LeasePool<T extends { close(): Promise<void> }> {
  readonly #maxEntries: number;
  /** The most recently used entries come last. */
  readonly #entries = new Map<string, Entry<T>>();

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  /** Leases the value of a key, made on first use. */
  lease(key: string, make: () => T): Lease<T> {
    const entry = this.#entries.get(key) ?? { value: make(), leases: 0, evicted: false };
    entry.leases++;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#evict();
    let held = true;
    const release = async () => {
      if (!held) return;
      held = false;
      entry.leases--;
      if (entry.evicted && entry.leases === 0) await entry.value.close();
    };
    return { value: entry.value, release };
  }

  /** Closes all values, also leased ones. */
  async close(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map(({ value }) => value.close()));
  }

  #evict(): void {
    const [oldest] = this.#entries;
    if (this.#entries.size <= this.#maxEntries || !oldest) return;
    const [key, entry] = oldest;
    this.#entries.delete(key);
    entry.evicted = true;
    if (entry.leases === 0) void entry.value.close();
  }
}
