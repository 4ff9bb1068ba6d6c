import { joinBytes } from '../core/chunks.ts';
import { delay } from '../core/delay.ts';
import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import type { UrlKind } from '../core/metrics.ts';
import { MetricsLog } from '../core/metrics.ts';
import { rememberSecret, rememberUrl } from '../core/secrets.ts';
import { FetchReply } from './fetch-reply.ts';
import { readJson, SMALL_JSON_BYTES } from './json.ts';
import { isUnreached } from './network-error.ts';
import { checkAddress, checkHeaders, isWebAddress, originOf, unencrypted } from './request-checks.ts';
import { RequestGuard } from './request-guard.ts';
import { responseError } from './response-error.ts';
import { MAX_OBEYED_WAIT_MS, type RetryPolicy, retryDelay } from './retry-timing.ts';
import { Tries } from './tries.ts';
import type {
  HttpResponse,
  HttpTimeouts,
  MemoryCount,
  Reply,
  RequestSpec,
  RetryNotice,
  SendingFetch,
  Timeouts,
} from './types.ts';

export const DEFAULT_TIMEOUTS: Timeouts = { connectMs: 20_000, stallMs: 20_000 };

export interface HttpOptions {
  fetch: SendingFetch;
  /** True if nothing goes to an address that is not encrypted, but for what the caller names. */
  encrypted?: boolean | undefined;
  /** True if it also accepts a body that is an array of pieces. */
  takesPieces?: boolean | undefined;
  rewriteUrl?: ((url: string, kind: UrlKind) => string) | undefined;
  timeouts: HttpTimeouts;
  retry: RetryPolicy;
  /** Counts answers that are read as a whole. */
  memory?: MemoryCount | undefined;
  onRetry?: ((notice: RetryNotice) => void) | undefined;
  random?: () => number;
}

/** The slowest line that a body may take: 64 MiB then need a quarter of an hour. */
const SLOWEST_BYTES_PER_SECOND = 64 * 1024;

/** At a host that has never answered: once more, for a network that is just coming up. */
const UNREACHED_ATTEMPTS = 2;
/** Headers that hold a credential. */
const CREDENTIALS = ['authorization', 'cookie', 'proxy-authorization'];

/** Attempts of a request. */
export type TriesOptions = Pick<RequestSpec, 'kind' | 'signal' | 'waits'> & { attempts: number };

/** The one door for requests: rewriting, timeouts, retries and typed errors. Counts what goes through. */
export class Http {
  readonly #options: HttpOptions;
  readonly log: MetricsLog;
  /** Origins that have answered. */
  readonly #reached: Set<string>;

  constructor(options: HttpOptions, log: MetricsLog = new MetricsLog(), reached = new Set<string>()) {
    this.#options = options;
    this.log = log;
    this.#reached = reached;
  }

  /** The same door, for a part whose share is to be told apart. */
  with(log: MetricsLog): Http {
    return new Http(this.#options, log, this.#reached);
  }

  /** The same door, which tries nothing twice. */
  once(): Http {
    return new Http({ ...this.#options, retry: { ...this.retry, attempts: 1 } }, this.log, this.#reached);
  }

  /** Sends until an acceptable answer comes, the attempts are used up or the signal aborts. */
  send(spec: RequestSpec): Promise<Reply> {
    return this.#attempts(spec, () => this.#attempt(spec));
  }

  async #attempts<T>(spec: RequestSpec, once: () => Promise<T>): Promise<T> {
    const { kind, attempts = this.#options.retry.attempts, waits, signal } = spec;
    const tries = this.tries({ kind, attempts, waits, signal });
    for (;;) {
      try {
        return await once();
      } catch (error) {
        if (!isXetError(error) || !error.retryable) throw error;
        await tries.failed(error, this.#isHopeless(error) ? Math.min(attempts, UNREACHED_ATTEMPTS) : attempts);
      }
    }
  }

  /** True if a host that has never answered cannot be reached: mostly a name or a port is wrong. */
  #isHopeless(error: XetError): boolean {
    return error.code === 'NETWORK' && !this.#reached.has(originOf(error.url ?? '')) && isUnreached(error);
  }

  /**
   * Sends and reads the answer as JSON. A body that breaks off, stalls or is no JSON is a failed attempt like
   * any other.
   * @param maxBytes that an honest answer to this question may have
   */
  json(spec: RequestSpec, maxBytes = SMALL_JSON_BYTES): Promise<{ body: unknown; reply: Reply }> {
    return this.exchange(spec, async (reply) => ({ reply, body: await readJson(reply, maxBytes, spec.signal) }));
  }

  /** Sends and takes in the answer; whatever fails in that is a failed attempt. */
  exchange<T>(spec: RequestSpec, takeIn: (reply: Reply) => Promise<T>): Promise<T> {
    return this.#attempts(spec, async () => takeIn(await this.#attempt(spec)));
  }

  /** Attempts at something that takes more than one request. */
  tries({ kind, attempts, signal, waits = kind === 'cas' || kind === 'xorb' }: TriesOptions): Tries {
    const pause = (attempt: number, most: number, error: XetError) => this.pause(attempt, most, error, kind, signal);
    return new Tries({ attempts, waits, signal, pause, log: this.log });
  }

  /** The wait between two attempts, announced. Also for callers that retry more than one request. */
  async pause(attempt: number, attempts: number, error: XetError, kind: UrlKind, signal?: AbortSignal): Promise<void> {
    const { retry, onRetry, random = Math.random } = this.#options;
    if ((error.retryAfterMs ?? 0) > MAX_OBEYED_WAIT_MS) throw error;
    const delayMs = retryDelay(attempt, retry, error.retryAfterMs, random);
    this.log.retried(error.code);
    onRetry?.({ kind, url: error.url ?? '', attempt, attempts, delayMs, error });
    await delay(delayMs, signal);
  }

  /** Announces a failed attempt that was counted and is waited for elsewhere. */
  noticed(notice: Omit<RetryNotice, 'error'>, error: Error): void {
    if (isXetError(error)) this.#options.onRetry?.({ ...notice, error });
  }

  /** Waits between attempts, for callers that retry by a rule of their own. */
  get retry(): RetryPolicy {
    return this.#options.retry;
  }

  /** True if a body in pieces is sent unchanged; otherwise it is joined for each attempt. */
  get takesPieces(): boolean {
    return this.#options.takesPieces ?? false;
  }

  #bodyOf({ body }: RequestSpec): BodyInit | undefined {
    if (!Array.isArray(body)) return body as BodyInit | undefined;
    return (this.takesPieces ? body : joinBytes(body)) as BodyInit;
  }

  /** The address of a request. */
  #addressOf({ url, kind }: RequestSpec): string {
    rememberUrl(url);
    checkAddress(url, kind, this.#options.encrypted ?? false);
    return this.#rewritten(url, kind);
  }

  #rewritten(url: string, kind: UrlKind): string {
    const { rewriteUrl } = this.#options;
    if (!rewriteUrl) return url;
    const rewritten = rewriteUrl(url, kind);
    rememberUrl(rewritten);
    if (isWebAddress(rewritten)) return rewritten;
    throw new XetError(
      'INVALID_ARGUMENT',
      `rewriteUrl made something of ${publicUrl(url)} that is not an http(s) address.`,
    );
  }

  async #attempt(spec: RequestSpec): Promise<Reply> {
    const { fetch, rewriteUrl } = this.#options;
    const { stallMs: stall, hubMs: hub } = this.#options.timeouts;
    const connect = (spec.kind === 'hub' && spec.method === undefined && hub) || this.#options.timeouts.connectMs;
    const { patience = {} } = spec;
    const sendingMs = ((patience.sendBytes ?? 0) / SLOWEST_BYTES_PER_SECOND) * 1000;
    const timeouts = { connect: connect * (patience.connect ?? 1) + sendingMs, stall: stall * (patience.stall ?? 1) };
    const url = this.#addressOf(spec);
    checkHeaders(spec);
    for (const name of CREDENTIALS) rememberSecret(spec.headers?.[name]);
    const guard = new RequestGuard(url, spec.signal);
    this.log.requested(spec.kind);
    let response: HttpResponse;
    try {
      const sending = guard.within(timeouts.connect, 'TIMEOUT', () =>
        fetch(
          url,
          {
            method: spec.method ?? 'GET',
            headers: spec.headers,
            body: this.#bodyOf(spec),
            signal: guard.signal,
            ...(spec.cache && { cache: spec.cache }),
          },
          // One that was given may take other things there.
          ...(rewriteUrl ? [(to: string) => this.#rewritten(to, kindAfter(spec, to))] : []),
        ),
      );
      response = await this.log.awaiting(sending);
    } catch (error) {
      const explained = guard.explain(error);
      guard.drop();
      throw explained;
    }
    this.#reached.add(originOf(url));
    rememberUrl(response.url);
    // A fetch that follows redirects itself has no rule against it.
    if (url.startsWith('https:') && response.url.startsWith('http:') && !rewriteUrl) {
      guard.drop();
      throw unencrypted(response.url, url);
    }
    if (response.ok || spec.accept?.includes(response.status)) {
      return new FetchReply(response, guard, timeouts.stall, this.log, this.#options.memory);
    }
    try {
      const error = await guard.within(timeouts.stall, 'STALLED', () => responseError(response, spec, url));
      spec.signal?.throwIfAborted();
      throw error;
    } finally {
      guard.drop();
    }
  }
}

/** A redirect of the Hub to another server leads to content. */
function kindAfter({ kind, url }: RequestSpec, to: string): UrlKind {
  return kind === 'hub' && originOf(to) !== originOf(url) ? 'xorb' : kind;
}
