import { createHash } from 'node:crypto';
import { type HubContext, isForeign } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import { HubError } from '../hub-error.ts';
import { RecentMap } from '../store/recent-map.ts';

/** Somebody with an access token, or without one: all that the upstream shows is shown to this one only. */
export interface Asker {
  /** Digest of the token; `anonymous` without one. */
  key: string;
  /** The `Authorization` header for the upstream. */
  authorization: string | undefined;
}

const ANONYMOUS = 'anonymous';
const MAX_ASKERS = 10_000;

/** The askers of a mirror. Their tokens stay in memory. */
export class Askers {
  readonly #context: HubContext;
  readonly #ownTokens: ReadonlySet<string> | undefined;
  readonly #upstreamToken: string | undefined;
  readonly #known = new RecentMap<string, Asker>(MAX_ASKERS);

  /** With tokens of its own, the mirror lets only their holders in and asks with a token of its own, if it has one. */
  constructor(context: HubContext, ownTokens: ReadonlySet<string> | undefined, upstreamToken: string | undefined) {
    this.#context = context;
    this.#ownTokens = ownTokens;
    this.#upstreamToken = upstreamToken;
  }

  of(exchange: HubExchange): Asker {
    const given = exchange.header('authorization');
    if (given !== undefined && isForeign(this.#context, exchange)) {
      throw new HubError(403, 'A page of an origin that this mirror does not know may not send a token.');
    }
    if (this.#ownTokens) {
      if (!this.#ownTokens.has(exchange.bearer() ?? '')) {
        throw new HubError(401, 'This mirror is for holders of its own access tokens. Set HF_TOKEN to one of them.');
      }
      return this.#remember(this.#upstreamToken && `Bearer ${this.#upstreamToken}`);
    }
    return this.#remember(given);
  }

  /** The asker of this key, if it has asked since the mirror was started. */
  known(key: string): Asker | undefined {
    return key === ANONYMOUS ? { key, authorization: undefined } : this.#known.get(key);
  }

  #remember(authorization: string | undefined): Asker {
    if (authorization === undefined) return { key: ANONYMOUS, authorization };
    const key = createHash('sha256').update(authorization).digest('hex').slice(0, 32);
    const asker = { key, authorization };
    this.#known.set(key, asker);
    return asker;
  }
}
