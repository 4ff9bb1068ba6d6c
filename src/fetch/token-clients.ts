import type { BaseXetReader } from '../client/reader.ts';
import { LeasePool } from '../core/lease-pool.ts';
import { OpenedFiles } from './opened-files.ts';

/** The part of a client that the `fetch` adapter uses. */
export type FetchClient = Pick<BaseXetReader, 'endpoint' | 'open' | 'close'>;

/** The files of a client. The client is not closed before `release` is called. */
export interface ClientLease {
  files: OpenedFiles;
  release(): void;
}

/** Creates the client for a token. */
type MakeTokenClient = (accessToken: string) => FetchClient;

/** Each client has workers and memory of its own, so a service with many users would gain nothing from more of them. */
const MAX_TOKEN_CLIENTS = 4;

/** One client for requests without a token, and one for each token that requests carry, up to a limit. */
export class TokenClients {
  readonly #own: FetchClient;
  readonly #ownFiles: OpenedFiles;
  readonly #closesOwn: boolean;
  readonly #make: MakeTokenClient | undefined;
  readonly #pool = new LeasePool<{ files: OpenedFiles; close(): Promise<void> }>(MAX_TOKEN_CLIENTS);

  /**
   * @param own client for requests without a token; with `closesOwn` it is closed together with this object.
   * @param make undefined if requests can only use the token of the own client.
   */
  constructor(own: FetchClient, { closesOwn, make }: { closesOwn: boolean; make: MakeTokenClient | undefined }) {
    this.#own = own;
    this.#ownFiles = filesOf(own);
    this.#closesOwn = closesOwn;
    this.#make = make;
  }

  /** True if there is, or can be, a client for requests with this token, or without one. */
  serves(token: string | undefined): boolean {
    return token === undefined || this.#make !== undefined;
  }

  lease(token: string | undefined): ClientLease | undefined {
    if (token === undefined) return { files: this.#ownFiles, release: () => undefined };
    const make = this.#make;
    if (!make) return undefined;
    const { value, release } = this.#pool.lease(token, () => {
      const client = make(token);
      return { files: filesOf(client), close: () => client.close() };
    });
    return { files: value.files, release: () => void release() };
  }

  /** Ends transfers under way. A client passed in by the user stays open. */
  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#closesOwn && this.#own.close()]);
  }
}

function filesOf(client: FetchClient): OpenedFiles {
  return new OpenedFiles(({ repo, revision, path }, beginning, signal) =>
    client.open({ repo, revision, path, beginning, signal }),
  );
}
