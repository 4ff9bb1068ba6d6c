import { joinBytes } from '../chunks.ts';
import { isXetError, NO_LONGER_WANTED, publicText, publicUrl, XetError } from '../errors.ts';
import { MetricsLog } from '../metrics.ts';
import { type AnswerBody, lendingReader, type PieceReader } from './body-reader.ts';
import { delay } from './delay.ts';
import { JSON_LIMIT_BYTES, readJson } from './json.ts';
import { responseError, type UrlKind } from './response-error.ts';
import { LONGEST_OBEYED_WAIT_MS, type RetryPolicy, retryDelay } from './retry-timing.ts';

/** What sends a request: the platform's `fetch`, or yours. */
export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** Of an answer; names in any case. */
export type AnswerHeaders = Pick<Headers, 'get'>;

/** As much of a `Response` as is used here. */
export interface Answer {
  readonly status: number;
  readonly ok: boolean;
  readonly headers: AnswerHeaders;
  /** After redirects. */
  readonly url: string;
  readonly body: AnswerBody | null;
}

/** How long to wait for a server. */
export interface Timeouts {
  /** Longest wait for the head of an answer, in milliseconds. */
  connect: number;
  /** Longest silence in the middle of a body, in milliseconds. */
  stall: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = { connect: 20_000, stall: 20_000 };

/** Told before each wait: what failed, and when the next attempt starts. */
export interface RetryNotice {
  /** Which service failed. */
  kind: UrlKind;
  /** Without query. */
  url: string;
  /** The one that failed, from 1 on. */
  attempt: number;
  /** How many there are at most. */
  attempts: number;
  /** Milliseconds until the next one. */
  delayMs: number;
  /** What failed. */
  error: XetError;
}

export interface HttpOptions {
  fetch: (input: string, init?: RequestInit) => Promise<Answer>;
  /** Whether it also takes a body that is an array of pieces. */
  takesPieces?: boolean | undefined;
  rewriteUrl?: ((url: string, kind: UrlKind) => string) | undefined;
  timeouts: Timeouts;
  retry: RetryPolicy;
  onRetry?: ((notice: RetryNotice) => void) | undefined;
  random?: () => number;
}

/** How much longer than others a request waits. */
export interface Patience {
  /** Bytes of its body: the answer comes only when all of that is sent. */
  sendBytes?: number;
  /** By how many times the connect timeout is longer, for what the server works on before it answers. */
  connect?: number;
  /** By how many times the stall timeout is longer. */
  stall?: number;
}

/** The slowest line that a body may take: 64 MiB then need a quarter of an hour. */
const SLOWEST_BYTES_PER_SECOND = 64 * 1024;

/** Bytes that follow each other. */
export type Pieces = readonly Uint8Array[];

export interface RequestSpec {
  kind: UrlKind;
  url: string;
  method?: string;
  headers?: Record<string, string>;
  body?: BodyInit | Pieces | undefined;
  signal?: AbortSignal | undefined;
  /** Statuses to hand to the caller beside 2xx. */
  accept?: readonly number[];
  /** `no-store` goes past every HTTP cache on the way: for data that turned out corrupt. */
  cache?: 'no-store' | undefined;
  /** Attempts for this request, if not the policy's. */
  attempts?: number;
  patience?: Patience;
}

/** An answer whose head has arrived. Its body must be read to the end or dropped. */
export interface Reply {
  status: number;
  headers: AnswerHeaders;
  /** After redirects. */
  url: string;
  /** The body as it arrives; silence beyond the stall timeout throws `STALLED`, a broken connection `NETWORK`. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /** The same, each piece in the same memory as the one before where that can be: of use until the next is asked for. */
  lentChunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /** The whole body as text, refusing more than `maxBytes`. */
  text(maxBytes: number): Promise<string>;
  /** Closes the connection; safe at any time. */
  drop(): void;
}

/** The one door for requests: rewriting, timeouts, retries and typed errors. Counts what goes through. */
export class Http {
  readonly #options: HttpOptions;
  readonly log: MetricsLog;

  constructor(options: HttpOptions, log: MetricsLog = new MetricsLog()) {
    this.#options = options;
    this.log = log;
  }

  /** The same door, for a part whose share is to be told apart. */
  with(log: MetricsLog): Http {
    return new Http(this.#options, log);
  }

  /** Sends until an acceptable answer comes, the attempts are used up or the signal aborts. */
  send(spec: RequestSpec): Promise<Reply> {
    return this.#attempts(spec, () => this.#attempt(spec));
  }

  async #attempts<T>(spec: RequestSpec, once: () => Promise<T>): Promise<T> {
    const attempts = spec.attempts ?? this.#options.retry.attempts;
    for (let attempt = 1; ; attempt++) {
      try {
        return await once();
      } catch (error) {
        if (attempt >= attempts || !isXetError(error) || !error.retryable) throw error;
        await this.pause(attempt, attempts, error, spec.kind, spec.signal);
      }
    }
  }

  /**
   * Sends and reads the answer as JSON. A body that breaks off, stalls or is no JSON is a failed attempt like
   * any other.
   */
  json(spec: RequestSpec, maxBytes = JSON_LIMIT_BYTES): Promise<{ body: unknown; reply: Reply }> {
    return this.exchange(spec, async (reply) => ({ reply, body: await readJson(reply, maxBytes) }));
  }

  /** Sends and takes in the answer; whatever fails in that is a failed attempt. */
  exchange<T>(spec: RequestSpec, takeIn: (reply: Reply) => Promise<T>): Promise<T> {
    return this.#attempts(spec, async () => takeIn(await this.#attempt(spec)));
  }

  /** The wait between two attempts, announced. Also for callers that retry more than one request. */
  async pause(attempt: number, attempts: number, error: XetError, kind: UrlKind, signal?: AbortSignal): Promise<void> {
    const { retry, onRetry, random = Math.random } = this.#options;
    if ((error.retryAfterMs ?? 0) > LONGEST_OBEYED_WAIT_MS) throw error;
    const delayMs = retryDelay(attempt, retry, error.retryAfterMs, random);
    this.log.retried(error.code);
    onRetry?.({ kind, url: error.url ?? '', attempt, attempts, delayMs, error });
    await delay(delayMs, signal);
  }

  /** Whether a body in pieces is sent as it is; else it is put together for each attempt. */
  get takesPieces(): boolean {
    return this.#options.takesPieces ?? false;
  }

  #bodyOf({ body }: RequestSpec): BodyInit | undefined {
    if (!Array.isArray(body)) return body as BodyInit | undefined;
    return (this.takesPieces ? body : joinBytes(body)) as BodyInit;
  }

  async #attempt(spec: RequestSpec): Promise<Reply> {
    const { fetch, rewriteUrl } = this.#options;
    const { connect, stall } = this.#options.timeouts;
    const { patience = {} } = spec;
    const sendingMs = ((patience.sendBytes ?? 0) / SLOWEST_BYTES_PER_SECOND) * 1000;
    const timeouts = { connect: connect * (patience.connect ?? 1) + sendingMs, stall: stall * (patience.stall ?? 1) };
    const url = rewriteUrl ? rewriteUrl(spec.url, spec.kind) : spec.url;
    const connection = new Connection(url, spec.signal);
    this.log.requested(spec.kind);
    let response: Answer;
    try {
      response = await connection.within(timeouts.connect, 'TIMEOUT', () =>
        fetch(url, {
          method: spec.method ?? 'GET',
          headers: spec.headers,
          body: this.#bodyOf(spec),
          signal: connection.signal,
          ...(spec.cache && { cache: spec.cache }),
        }),
      );
    } catch (error) {
      const explained = connection.explain(error);
      connection.drop();
      throw explained;
    }
    if (response.ok || spec.accept?.includes(response.status)) {
      return new FetchReply(response, connection, timeouts.stall, this.log);
    }
    try {
      const error = await connection.within(timeouts.stall, 'STALLED', () => responseError(response, spec.kind, url));
      spec.signal?.throwIfAborted();
      throw error;
    } finally {
      connection.drop();
    }
  }
}

/** One connection's abort: by the caller, by a timeout, or because nobody wants the rest. */
class Connection {
  readonly #controller = new AbortController();
  readonly #url: string;
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort = () => this.#controller.abort(this.#outer?.reason);

  constructor(url: string, outer: AbortSignal | undefined) {
    this.#url = url;
    this.#outer = outer;
    outer?.throwIfAborted();
    outer?.addEventListener('abort', this.#onOuterAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Runs a step that must not take longer than `ms`; past it the connection is closed. */
  async within<T>(ms: number, code: 'TIMEOUT' | 'STALLED', step: () => Promise<T>): Promise<T> {
    const watch = this.watch(ms, code);
    try {
      return await watch.over(step());
    } finally {
      watch.end();
    }
  }

  /** Closes the connection when one of several steps takes longer than `ms`. */
  watch(ms: number, code: 'TIMEOUT' | 'STALLED'): Watch {
    return new Watch(this.signal, ms, () => {
      const what = code === 'TIMEOUT' ? 'did not answer' : 'sent no byte';
      const said = `${publicUrl(this.#url)} ${what} for ${ms / 1000} s.`;
      this.#controller.abort(new XetError(code, said, { url: this.#url, retryable: true }));
    });
  }

  /** What a failed fetch or read means: the caller's abort, a timeout, or the network. */
  explain(error: unknown): unknown {
    if (this.#outer?.aborted) return this.#outer.reason;
    if (isXetError(error)) return error;
    if (isXetError(this.signal.reason)) return this.signal.reason;
    return new XetError('NETWORK', `The connection to ${publicUrl(this.#url)} failed: ${networkReason(error)}.`, {
      url: this.#url,
      retryable: true,
      cause: error,
    });
  }

  drop(): void {
    this.release();
    if (!this.signal.aborted) this.#controller.abort(NO_LONGER_WANTED);
  }

  release(): void {
    this.#outer?.removeEventListener('abort', this.#onOuterAbort);
  }
}

/**
 * Ends a wait that takes too long, or when the signal aborts. Bodies come in thousands of pieces: one timer and one
 * listener serve all waits for them.
 */
class Watch {
  readonly #signal: AbortSignal;
  readonly #ms: number;
  readonly #onTooLong: () => void;
  /** Of the wait that is going on. */
  #reject: ((reason: unknown) => void) | undefined;
  #since = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(signal: AbortSignal, ms: number, onTooLong: () => void) {
    this.#signal = signal;
    this.#ms = ms;
    this.#onTooLong = onTooLong;
    // A fetch of somebody else's making may not listen to its signal.
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  over<T>(step: Promise<T>): Promise<T> {
    this.#since = performance.now();
    this.#timer ??= setTimeout(this.#look, this.#ms);
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      if (this.#signal.aborted) reject(this.#signal.reason);
      const settle =
        <R>(how: (result: R) => void) =>
        (result: R) => {
          // Before the next wait can begin.
          this.#reject = undefined;
          how(result);
        };
      step.then(settle(resolve), settle(reject));
    });
  }

  readonly #onAbort = (): void => this.#reject?.(this.#signal.reason);

  readonly #look = (): void => {
    this.#timer = undefined;
    // Between two waits it is the reader who takes his time.
    if (!this.#reject) return;
    const leftMs = this.#since + this.#ms - performance.now();
    if (leftMs > 0) this.#timer = setTimeout(this.#look, leftMs);
    else this.#onTooLong();
  };

  end(): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}

class FetchReply implements Reply {
  readonly #response: Answer;
  readonly #connection: Connection;
  readonly #stallMs: number;
  readonly #log: MetricsLog;

  constructor(response: Answer, connection: Connection, stallMs: number, log: MetricsLog) {
    this.#response = response;
    this.#connection = connection;
    this.#stallMs = stallMs;
    this.#log = log;
  }

  get status(): number {
    return this.#response.status;
  }

  get headers(): AnswerHeaders {
    return this.#response.headers;
  }

  get url(): string {
    return this.#response.url;
  }

  chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#pieces((body) => body.getReader());
  }

  lentChunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const length = Number(this.headers.get('content-length')) || Number.POSITIVE_INFINITY;
    return this.#pieces((body) => lendingReader(body, length));
  }

  async *#pieces(open: (body: AnswerBody) => PieceReader): AsyncGenerator<Uint8Array, void, undefined> {
    const { body } = this.#response;
    const reader = body && open(body);
    const watch = this.#connection.watch(this.#stallMs, 'STALLED');
    let finished = false;
    try {
      while (reader) {
        const { done, value } = await watch.over(reader.read());
        if (done || !value) break;
        this.#log.add('network', value.length);
        yield value;
      }
      finished = true;
      this.#connection.release();
    } catch (error) {
      throw this.#connection.explain(error);
    } finally {
      watch.end();
      if (!finished) this.drop();
    }
  }

  async text(maxBytes: number): Promise<string> {
    const decoder = new TextDecoder();
    let text = '';
    let bytes = 0;
    for await (const chunk of this.chunks()) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new XetError('PROTOCOL', `${publicUrl(this.url)} answered more than ${maxBytes} bytes.`, {
          url: this.url,
          retryable: true,
        });
      }
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  }

  drop(): void {
    this.#connection.drop();
  }
}

/** The innermost reason, which runtimes bury under a general "fetch failed". */
function networkReason(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  if (!(reason instanceof Error)) return publicText(String(reason));
  const code = 'code' in reason && typeof reason.code === 'string' ? reason.code : undefined;
  return publicText(reason.message || code || reason.name);
}
