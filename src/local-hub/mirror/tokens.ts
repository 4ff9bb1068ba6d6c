import { isRecord } from '../../core/json-values.ts';
import { HubError } from '../hub-error.ts';
import { RecentMap } from '../store/recent-map.ts';
import { type Answers, answerKey } from './answers.ts';
import type { Asker } from './askers.ts';
import type { MirrorMetrics } from './metrics.ts';
import type { Sealer } from './sealed.ts';
import { type Upstream, type UpstreamAnswer, UpstreamUnavailable } from './upstream.ts';

/** Permission of an asker at the upstream's CAS. */
export interface CasGrant {
  asker: string;
  /** The route of the token without its revision: a repository, and whether it may be written. */
  scope: string;
  casUrl: string;
  /** The upstream's CAS token; `undefined` where it was granted before the upstream became unavailable. */
  accessToken?: string | undefined;
  /** Unix seconds. */
  exp: number;
}

const PREFIX = 'mxt_';
/** Clients renew tokens so many seconds before they expire. */
const EARLY_SECONDS = 60;
/** Lifetime of tokens for what is held, in seconds. */
const HELD_SECONDS = 600;

/** Tokens of the upstream's CAS, and the mirror's own tokens, which carry them sealed. */
export class CasTokens {
  readonly #upstream: Upstream;
  readonly #answers: Answers;
  readonly #sealer: Sealer;
  readonly #metrics: MirrorMetrics;
  readonly #accessMs: number;
  readonly #known = new RecentMap<string, { grant: CasGrant; at: number }>(10_000);
  readonly #asking = new Map<string, Promise<CasGrant>>();

  constructor(parts: {
    upstream: Upstream;
    answers: Answers;
    sealer: Sealer;
    metrics: MirrorMetrics;
    accessMs: number;
  }) {
    this.#upstream = parts.upstream;
    this.#answers = parts.answers;
    this.#sealer = parts.sealer;
    this.#metrics = parts.metrics;
    this.#accessMs = parts.accessMs;
  }

  /** Permission that the upstream grants an asker at a token route. Refusals throw as the upstream says them. */
  async grant(asker: Asker, target: string): Promise<CasGrant> {
    const key = answerKey(asker.key, 'token', target);
    const known = this.#known.get(key);
    const now = Date.now();
    if (known && now - known.at < this.#accessMs && known.grant.exp * 1000 > now + 2 * EARLY_SECONDS * 1000) {
      this.#metrics.add('answers_held', 1);
      return known.grant;
    }
    const asking = this.#asking.get(key) ?? this.#ask(key, asker, target).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #ask(key: string, asker: Asker, target: string): Promise<CasGrant> {
    this.#metrics.add('answers_asked', 1);
    const scope = scopeOf(target);
    // Permission is for a repository, whatever revision is asked for.
    const held = answerKey(asker.key, 'token', scope);
    try {
      const answer = await this.#upstream.ask(target, { authorization: asker.authorization });
      if (answer.status >= 500) throw new UpstreamUnavailable(502, `The upstream answered ${answer.status}.`);
      if (answer.status !== 200) {
        if ([401, 403, 404].includes(answer.status)) await this.#answers.remove(held);
        this.#known.delete(key);
        throw refusalOf(answer);
      }
      const grant: CasGrant = { asker: asker.key, scope, ...readToken(answer) };
      this.#known.set(key, { grant, at: Date.now() });
      // Only that it was granted: the token itself stays in memory.
      await this.#answers.put(held, { status: 200, headers: {}, body: '', at: Date.now() });
      return grant;
    } catch (error) {
      if (!(error instanceof UpstreamUnavailable) || !(await this.#answers.get(held))) throw error;
      this.#metrics.add('answers_stale', 1);
      return { asker: asker.key, scope, casUrl: '', exp: Math.floor(Date.now() / 1000) + HELD_SECONDS };
    }
  }

  /** The mirror's token for a grant. */
  seal(grant: CasGrant): string {
    return PREFIX + this.#sealer.seal(grant);
  }

  isOwn(token: string | undefined): boolean {
    return token?.startsWith(PREFIX) === true;
  }

  /** The grant of a token that this mirror gave out and that is still valid. */
  unseal(token: string | undefined): CasGrant {
    const value = this.isOwn(token) ? this.#sealer.unseal((token ?? '').slice(PREFIX.length)) : undefined;
    if (!isRecord(value)) throw new HubError(401, 'Missing or invalid token');
    const grant = value as unknown as CasGrant;
    if (grant.exp * 1000 <= Date.now()) throw new HubError(401, 'Token expired');
    return grant;
  }
}

/** `…/xet-read-token` of a path that may go on with a revision. */
function scopeOf(target: string): string {
  return /^.*?\/xet-(?:read|write)-token(?=[/?]|$)/.exec(target)?.[0] ?? target;
}

function readToken({ body }: UpstreamAnswer): Pick<CasGrant, 'accessToken' | 'casUrl' | 'exp'> {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    value = undefined;
  }
  const { accessToken, casUrl, exp } = isRecord(value) ? value : {};
  const isUrl = typeof casUrl === 'string' && URL.canParse(casUrl) && /^https?:$/.test(new URL(casUrl).protocol);
  if (typeof accessToken !== 'string' || !isUrl || typeof exp !== 'number') {
    throw new HubError(502, 'The upstream of this mirror did not answer with a Xet token. Is it a Hub?');
  }
  return { accessToken, casUrl: casUrl.replace(/\/+$/, ''), exp: Math.floor(exp) };
}

/** A refusal of the upstream, to be handed on as it is. */
export function refusalOf({
  status,
  headers,
  body,
}: Pick<UpstreamAnswer, 'status' | 'headers'> & { body: Buffer | string }) {
  let said = headers['x-error-message'];
  try {
    const value = JSON.parse(body.toString()) as unknown;
    if (isRecord(value) && typeof value.error === 'string') said ??= value.error;
  } catch {
    // Not JSON: the status says enough.
  }
  const kept = ['x-error-code', 'retry-after', 'ratelimit', 'ratelimit-policy', 'www-authenticate'] as const;
  const passed = Object.fromEntries(
    kept.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])),
  );
  return new HubError(status, said ?? `The upstream answered ${status}.`, undefined, passed as Record<string, string>);
}
