import type { HubExchange } from '../http/exchange.ts';
import { RecentMap } from '../store/recent-map.ts';
import { type Answers, answerKey, type HeldAnswer } from './answers.ts';
import type { Asker } from './askers.ts';
import type { MirrorMetrics } from './metrics.ts';
import type { Lifetimes } from './options.ts';
import type { HubTarget } from './target.ts';
import { type Upstream, type UpstreamAnswer, UpstreamUnavailable } from './upstream.ts';

/** A question to the Hub. */
export interface Question {
  method: 'GET' | 'HEAD' | 'POST';
  /** Path and query. */
  target: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

/** An answer, and whether it is served because the upstream could not be asked. */
export interface Answered extends HeldAnswer {
  isStale: boolean;
}

/**
 * Answers of the upstream to questions of askers. Each asker has its own. Those about commits are kept for good, but the
 * permission to see them is asked for anew from time to time; names are kept briefly.
 */
export class Questions {
  readonly #upstream: Upstream;
  readonly #answers: Answers;
  readonly #metrics: MirrorMetrics;
  readonly #lifetimes: Lifetimes;
  readonly #log: (line: string) => void;
  readonly #asking = new Map<string, Promise<Answered>>();
  /** Time when the upstream last let an asker see this part of a repository. */
  readonly #permittedAt = new RecentMap<string, number>(100_000);
  /** Time of the last change of a repository through this mirror. */
  readonly #changedAt = new RecentMap<string, number>(10_000);

  constructor(parts: {
    upstream: Upstream;
    answers: Answers;
    metrics: MirrorMetrics;
    lifetimes: Lifetimes;
    log: (line: string) => void;
  }) {
    this.#upstream = parts.upstream;
    this.#answers = parts.answers;
    this.#metrics = parts.metrics;
    this.#lifetimes = parts.lifetimes;
    this.#log = parts.log;
  }

  /** `repo` has changed: what is known of its names no longer holds. */
  forget(repo: string): void {
    this.#changedAt.set(repo, Date.now());
  }

  async ask(
    asker: Asker,
    question: Question,
    target: HubTarget | undefined,
    options: { fresh?: boolean } = {},
  ): Promise<Answered> {
    const key = answerKey(
      asker.key,
      question.method,
      question.target,
      question.headers?.accept ?? '',
      Buffer.from(question.body ?? '').toString('base64'),
    );
    const held = await this.#answers.get(key);
    if (held && options.fresh !== true && this.#isFresh(asker, held, target)) {
      this.#metrics.add('answers_held', 1);
      return { ...held, isStale: false };
    }
    const asking =
      this.#asking.get(key) ??
      this.#askUpstream(key, asker, question, target, held).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  #isFresh(asker: Asker, held: HeldAnswer, target: HubTarget | undefined): boolean {
    const now = Date.now();
    if (held.at > now) return false;
    if (target?.isCommit) {
      const permittedAt = Math.max(held.at, this.#permittedAt.get(permission(asker, target)) ?? 0);
      return now - permittedAt < this.#lifetimes.accessMs;
    }
    const changedAt = target ? (this.#changedAt.get(target.repo) ?? 0) : 0;
    return now - held.at < this.#lifetimes.nameMs && held.at > changedAt;
  }

  async #askUpstream(
    key: string,
    asker: Asker,
    { method, target: address, headers, body }: Question,
    target: HubTarget | undefined,
    held: HeldAnswer | undefined,
  ): Promise<Answered> {
    this.#metrics.add('answers_asked', 1);
    const at = Date.now();
    let answer: UpstreamAnswer;
    try {
      answer = await this.#upstream.ask(address, {
        method,
        authorization: asker.authorization,
        ...(headers && { headers }),
        ...(body && { body }),
      });
    } catch (error) {
      if (!(error instanceof UpstreamUnavailable) || !held) throw error;
      return this.#stale(address, held);
    }
    const { status } = answer;
    if (status >= 500 && status !== 501 && held) return this.#stale(address, held);
    const fresh: HeldAnswer = { status, headers: answer.headers, body: answer.body.toString(), at };
    if (isKept(fresh)) {
      if (target?.isCommit && status < 400) this.#permittedAt.set(permission(asker, target), at);
      await this.#answers.put(key, fresh, status >= 400 || !isUsual(address));
    } else if (status < 500 && status !== 429) {
      // Gone, or no longer for this asker: also not while the upstream is unavailable.
      await this.#answers.remove(key);
      if (target) this.#permittedAt.delete(permission(asker, target));
    }
    return { ...fresh, isStale: false };
  }

  #stale(address: string, held: HeldAnswer): Answered {
    this.#metrics.add('answers_stale', 1);
    const path = address.split('?', 1)[0];
    this.#log(`Upstream unavailable: ${path} is answered as of ${new Date(held.at).toISOString()}`);
    return { ...held, isStale: true };
  }
}

/** Permission to see one kind of thing of a repository: a listing may be shown where files are not. */
function permission(asker: Asker, { repo, action }: HubTarget): string {
  return `${asker.key} ${repo} ${action}`;
}

/** True for what was found, and for files that a commit does not have. */
function isKept({ status, headers }: HeldAnswer): boolean {
  return status < 400 || (status === 404 && headers['x-error-code'] === 'EntryNotFound');
}

/** Header that says that an answer may be out of date. */
export function staleHeader({ isStale, at }: Answered): Record<string, string> {
  return isStale ? { 'x-mirror-stale': new Date(at).toISOString() } : {};
}

/** True if a client wants nothing from caches. */
export function wantsFresh(exchange: HubExchange): boolean {
  return /no-cache|no-store/i.test(exchange.header('cache-control') ?? '');
}

/** Names in the queries of Hub clients. */
const USUAL = new Set([
  'recursive',
  'expand',
  'expand[]',
  'limit',
  'cursor',
  'blobs',
  'full',
  'securityStatus',
  'p',
  'download',
]);
const MAX_USUAL_LENGTH = 2000;

/** True for addresses that clients ask for. Any others could fill a disk, as nothing limits their number. */
function isUsual(address: string): boolean {
  const { searchParams } = new URL(address, 'http://localhost');
  return address.length <= MAX_USUAL_LENGTH && [...searchParams.keys()].every((name) => USUAL.has(name));
}
