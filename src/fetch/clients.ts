import type { BaseXetDownloader } from '../client/reader.ts';
import { OpenedFiles } from './opened-files.ts';

/** What is asked of a client. */
export type FetchClient = Pick<BaseXetDownloader, 'endpoint' | 'open' | 'close'>;

/** A client in use; it is not closed before it is given back. */
export interface Lease {
  files: OpenedFiles;
  release(): void;
}

/** Makes the client of a token. */
export type MakeTokenClient = (accessToken: string) => FetchClient;

interface Entry {
  client: FetchClient;
  files: OpenedFiles;
  leases: number;
  /** Whether it is closed as soon as nobody uses it. */
  leaving: boolean;
}

/** Each holds workers and memory of its own. A service with many users at once gains nothing by more of them. */
const MOST_TOKENS = 4;

/** One client for requests without a token, and one for each token that requests bring; those used last are kept. */
export class Clients {
  readonly #own: Entry;
  readonly #closesOwn: boolean;
  readonly #make: MakeTokenClient | undefined;
  /** Those used last at the end. */
  readonly #byToken = new Map<string, Entry>();

  /**
   * @param own the client of requests without a token; `closesOwn` says that it ends with this.
   * @param make undefined where other tokens than the client's own are out of reach.
   */
  constructor(own: FetchClient, { closesOwn, make }: { closesOwn: boolean; make: MakeTokenClient | undefined }) {
    this.#own = entryOf(own);
    this.#closesOwn = closesOwn;
    this.#make = make;
  }

  /** Whether there is a client for requests with this token, or without one. */
  serves(token: string | undefined): boolean {
    return token === undefined || this.#make !== undefined;
  }

  take(token: string | undefined): Lease | undefined {
    const entry = token === undefined ? this.#own : this.#forToken(token);
    if (!entry) return undefined;
    entry.leases++;
    let held = true;
    return {
      files: entry.files,
      release: () => {
        if (!held) return;
        held = false;
        entry.leases--;
        if (entry.leaving && entry.leases === 0) void entry.client.close();
      },
    };
  }

  #forToken(token: string): Entry | undefined {
    const entry = this.#byToken.get(token) ?? (this.#make && entryOf(this.#make(token)));
    if (!entry) return undefined;
    this.#byToken.delete(token);
    this.#byToken.set(token, entry);
    const [oldest] = this.#byToken;
    if (this.#byToken.size > MOST_TOKENS && oldest) {
      const [oldestToken, leaving] = oldest;
      this.#byToken.delete(oldestToken);
      leaving.leaving = true;
      if (leaving.leases === 0) void leaving.client.close();
    }
    return entry;
  }

  /** Ends what is under way. A client that was given from outside stays open. */
  async close(): Promise<void> {
    const mine = [...this.#byToken.values(), ...(this.#closesOwn ? [this.#own] : [])];
    this.#byToken.clear();
    await Promise.all(mine.map(({ client }) => client.close()));
  }
}

function entryOf(client: FetchClient): Entry {
  const files = new OpenedFiles(({ repo, revision, path }, beginning, signal) =>
    client.open({ repo, revision, path, beginning, signal }),
  );
  return { client, files, leases: 0, leaving: false };
}
