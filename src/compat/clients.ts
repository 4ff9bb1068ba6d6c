import type { BaseXetClient } from '../client/client.ts';
import type { XetClientOptions } from '../client/options.ts';
import type { Fetch } from '../http/http.ts';
import type { CompatPlatform } from './platform.ts';

/** What makes one client differ from another. */
export type ClientSettings = Pick<
  XetClientOptions,
  'endpoint' | 'cacheDir' | 'xet' | 'concurrency' | 'memoryBudget' | 'offline'
> & { accessToken?: string | undefined; fetch?: Fetch | undefined };

/** Each holds workers and memory of its own: those used last are kept. */
const MOST_CLIENTS = 4;

interface Entry {
  client: BaseXetClient;
  inUse: number;
  /** Whether it is closed as soon as nobody uses it. */
  leaving: boolean;
}

/** The client of a call: calls that say the same of themselves share one, and with it its workers and its tokens. */
export class CompatClients {
  readonly #platform: CompatPlatform;
  /** Those used last at the end. */
  readonly #entries = new Map<string, Entry>();
  /** Functions have no text that says which they are. */
  readonly #fetchNumbers = new WeakMap<Fetch, number>();
  #fetches = 0;

  constructor(platform: CompatPlatform) {
    this.#platform = platform;
  }

  /** Runs something with a client that is not closed in the meantime. */
  async with<T>(settings: ClientSettings, work: (client: BaseXetClient) => Promise<T>): Promise<T> {
    const entry = this.#take(settings);
    entry.inUse++;
    try {
      return await work(entry.client);
    } finally {
      entry.inUse--;
      if (entry.leaving && entry.inUse === 0) await entry.client.close();
    }
  }

  /** Holds a client until the function that it gives is called. */
  hold(settings: ClientSettings): { client: BaseXetClient; release: () => void } {
    const entry = this.#take(settings);
    entry.inUse++;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      entry.inUse--;
      if (entry.leaving && entry.inUse === 0) void entry.client.close();
    };
    return { client: entry.client, release };
  }

  #take(settings: ClientSettings): Entry {
    const key = this.#keyOf(settings);
    const entry = this.#entries.get(key) ?? {
      client: this.#platform.makeClient(optionsOf(settings)),
      inUse: 0,
      leaving: false,
    };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const [oldest] = this.#entries;
    if (this.#entries.size > MOST_CLIENTS && oldest) {
      const [oldestKey, leaving] = oldest;
      this.#entries.delete(oldestKey);
      leaving.leaving = true;
      if (leaving.inUse === 0) void leaving.client.close();
    }
    return entry;
  }

  #keyOf({ fetch, ...rest }: ClientSettings): string {
    const values = Object.entries(rest).filter(([, value]) => value !== undefined);
    return JSON.stringify([...values.sort(([a], [b]) => (a < b ? -1 : 1)), fetch ? this.#numberOf(fetch) : 0]);
  }

  #numberOf(fetch: Fetch): number {
    const known = this.#fetchNumbers.get(fetch) ?? ++this.#fetches;
    this.#fetchNumbers.set(fetch, known);
    return known;
  }
}

function optionsOf(settings: ClientSettings): XetClientOptions {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

const byPlatform = new WeakMap<CompatPlatform, CompatClients>();

export function clientsOf(platform: CompatPlatform): CompatClients {
  const known = byPlatform.get(platform) ?? new CompatClients(platform);
  byPlatform.set(platform, known);
  return known;
}
