import type { BaseXetClient } from '../client/client.ts';
import type { XetClientOptions } from '../client/options.ts';
import { type Lease, LeasePool } from '../core/lease-pool.ts';
import type { Fetch } from '../http/types.ts';
import type { CompatPlatform } from './platform.ts';

/** Options that distinguish one client from another. */
export type ClientSettings = Pick<
  XetClientOptions,
  'endpoint' | 'cacheDir' | 'xet' | 'concurrency' | 'memoryBudget' | 'offline'
> & { accessToken?: string | undefined; fetch?: Fetch | undefined };

/** Each client has workers and memory of its own. */
const MAX_CLIENTS = 4;

/** Clients of calls: calls with equal settings share one, and with it its workers and tokens. */
export class CompatClients {
  readonly #platform: CompatPlatform;
  readonly #pool = new LeasePool<BaseXetClient>(MAX_CLIENTS);
  /** Functions have no text by which to tell them apart. */
  readonly #fetchNumbers = new WeakMap<Fetch, number>();
  #fetches = 0;

  constructor(platform: CompatPlatform) {
    this.#platform = platform;
  }

  /** Runs work with a client that is not closed in the meantime. */
  async with<T>(settings: ClientSettings, work: (client: BaseXetClient) => Promise<T>): Promise<T> {
    const { value, release } = this.#lease(settings);
    try {
      return await work(value);
    } finally {
      await release();
    }
  }

  /** Holds a client, which is not closed before `release` is called. */
  hold(settings: ClientSettings): { client: BaseXetClient; release: () => void } {
    const { value, release } = this.#lease(settings);
    return { client: value, release: () => void release() };
  }

  #lease(settings: ClientSettings): Lease<BaseXetClient> {
    return this.#pool.lease(this.#keyOf(settings), () => this.#platform.makeClient(optionsOf(settings)));
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
