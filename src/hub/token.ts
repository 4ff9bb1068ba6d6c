import { isRecord } from '../core/json-values.ts';
import { Shared } from '../core/shared.ts';
import type { Http } from '../http/http.ts';
import { isExposed, isWebAddress, unencrypted } from '../http/request-checks.ts';
import { incomplete } from './types.ts';

/** Access to a CAS, as the Hub hands it out for one repository and scope. */
export interface CasAccess {
  casUrl: string;
  accessToken: string;
  /** Time to ask for a new one, in milliseconds of this machine's clock. */
  refreshAtMs: number;
}

/** A token is renewed this long before it ends. */
const REFRESH_EARLY_MS = 60_000;

/**
 * The CAS token of one route. Asked for once however many need it, renewed in time by the server's own clock
 * and whenever the CAS says 401.
 */
export class CasTokenSource {
  readonly #http: Http;
  readonly #url: string;
  readonly #headers: () => Promise<Record<string, string>>;
  #current: CasAccess | undefined;
  readonly #refresh = new Shared<CasAccess>();

  constructor(http: Http, url: string, headers: () => Promise<Record<string, string>>) {
    this.#http = http;
    this.#url = url;
    this.#headers = headers;
  }

  /** A token that is good now. `rejected` is the one that the CAS has just refused. */
  async get(signal?: AbortSignal, rejected?: string): Promise<CasAccess> {
    const current = this.#current;
    if (current && current.accessToken !== rejected && Date.now() < current.refreshAtMs) return current;
    return this.#refresh.join(async (shared) => {
      this.#current = await this.#ask(shared);
      return this.#current;
    }, signal);
  }

  /** A token that somebody else has asked for. */
  give(access: CasAccess): void {
    this.#current = access;
  }

  async #ask(signal: AbortSignal): Promise<CasAccess> {
    const spec = { kind: 'hub', url: this.#url, headers: await this.#headers(), signal, waits: true } as const;
    const { body, reply } = await this.#http.json(spec, 64 * 1024);
    const expiry = isRecord(body) ? body.exp : undefined;
    if (
      !isRecord(body) ||
      typeof body.accessToken !== 'string' ||
      typeof body.casUrl !== 'string' ||
      !isWebAddress(body.casUrl) ||
      typeof expiry !== 'number'
    ) {
      throw incomplete(this.#url, 'a Xet token');
    }
    if (/^https:/i.test(this.#url) && isExposed(body.casUrl)) throw unencrypted(body.casUrl, this.#url);
    // The lifetime by the server's clock, counted from now by ours: a wrong clock here does no harm.
    const serverNow = Date.parse(reply.headers.get('date') ?? '') || Date.now();
    const lifetimeMs = expiry * 1000 - serverNow;
    const refreshAtMs = Date.now() + Math.max(lifetimeMs - REFRESH_EARLY_MS, lifetimeMs / 2);
    return { casUrl: body.casUrl.replace(/\/+$/, ''), accessToken: body.accessToken, refreshAtMs };
  }
}
