import { isXetError } from '../../core/errors.ts';
import type { PieceReader } from '../../http/body-reader.ts';
import { nodeFetch } from '../../http/network-fetch.node.ts';
import type { HttpResponse } from '../../http/types.ts';
import { HubError } from '../hub-error.ts';
import type { MirrorMetrics } from './metrics.ts';

/** Headers of the upstream that are handed on. */
const KEPT = [
  'content-type',
  'content-length',
  'content-disposition',
  'content-range',
  'etag',
  'last-modified',
  'link',
  'location',
  'retry-after',
  'ratelimit',
  'ratelimit-policy',
  'www-authenticate',
  'x-error-code',
  'x-error-message',
  'x-hf-warning',
  'x-linked-etag',
  'x-linked-size',
  'x-repo-commit',
  'x-total-count',
  'x-xet-hash',
] as const;

/** Longest silence of the upstream, before an answer and in the middle of one. */
const SILENT_MS = 30_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Headers by lower-case name. */
export type UpstreamHeaders = Partial<Record<(typeof KEPT)[number], string>>;

/** An answer of the upstream with all of its body. */
export interface UpstreamAnswer {
  status: number;
  headers: UpstreamHeaders;
  body: Buffer;
}

/** An answer of the upstream whose body is yet to come. */
export interface OpenAnswer {
  status: number;
  headers: UpstreamHeaders;
  pieces: AsyncGenerator<Uint8Array, void, undefined>;
  /** Closes the connection; safe at any time. */
  drop(): void;
}

/** A request to the upstream. */
export interface UpstreamRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: Uint8Array | undefined;
  authorization?: string | undefined;
  /** True if redirects are followed; without the token, where they lead to another server. */
  follow?: boolean;
  signal?: AbortSignal | undefined;
}

/** The upstream cannot be asked, or answers that it is out of order. */
export class UpstreamUnavailable extends HubError {}

/** Requests to the Hub behind the mirror, and to the servers that it names. */
export class Upstream {
  /** Without a slash at the end. */
  readonly url: string;
  readonly #offline: boolean;
  readonly #metrics: MirrorMetrics;
  readonly #log: (line: string) => void;
  #isDown = false;

  constructor(url: string, offline: boolean, metrics: MirrorMetrics, log: (line: string) => void) {
    this.url = url;
    this.#offline = offline;
    this.#metrics = metrics;
    this.#log = log;
  }

  /** False while the upstream does not answer, or is not to be asked. */
  get isAvailable(): boolean {
    return !this.#offline && !this.#isDown;
  }

  /** Asks the Hub. `target` is a path with a query. Throws {@link UpstreamUnavailable} where nobody answers. */
  async ask(target: string, request: UpstreamRequest = {}): Promise<UpstreamAnswer> {
    return this.askAt(this.url + target, request);
  }

  /** The same for an absolute address. */
  async askAt(url: string, request: UpstreamRequest = {}): Promise<UpstreamAnswer> {
    const open = await this.open(url, request);
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of open.pieces) {
      length += piece.length;
      if (length > MAX_ANSWER_BYTES) {
        open.drop();
        throw new HubError(502, `An answer of ${this.#name(url)} is larger than ${MAX_ANSWER_BYTES} bytes.`);
      }
      pieces.push(piece);
    }
    return { status: open.status, headers: open.headers, body: Buffer.concat(pieces) };
  }

  /** Opens an answer. Statuses from 500 on mean that the server is unavailable, except 501. */
  async open(url: string, request: UpstreamRequest = {}): Promise<OpenAnswer> {
    if (this.#offline) {
      throw new UpstreamUnavailable(504, 'This mirror is offline (--offline) and does not hold what was asked for.');
    }
    const stop = new AbortController();
    const onAbort = () => stop.abort(request.signal?.reason);
    if (request.signal?.aborted) onAbort();
    request.signal?.addEventListener('abort', onAbort, { once: true });
    const watch = new Watch(() => stop.abort(new Error(`it was silent for ${SILENT_MS / 1000} seconds`)));
    const release = () => {
      watch.end();
      request.signal?.removeEventListener('abort', onAbort);
    };
    let response: HttpResponse;
    try {
      response = await nodeFetch(url, {
        method: request.method ?? 'GET',
        headers: {
          'user-agent': 'xetkit-mirror',
          'accept-encoding': 'identity',
          ...request.headers,
          ...(request.authorization !== undefined && { authorization: request.authorization }),
        },
        ...(request.body !== undefined && { body: request.body as BodyInit }),
        redirect: request.follow === true ? 'follow' : 'manual',
        signal: stop.signal,
      });
    } catch (error) {
      release();
      throw this.#unavailable(url, error, request.signal);
    }
    const { status } = response;
    const headers: UpstreamHeaders = {};
    for (const name of KEPT) {
      const value = response.headers.get(name);
      if (value !== null) headers[name] = value;
    }
    this.#metrics.add('upstream_requests', 1);
    if (url.startsWith(this.url)) this.#setDown(status >= 500 && status !== 501 ? `it answers ${status}` : undefined);
    const reader: PieceReader | undefined = response.body?.getReader();
    const drop = () => {
      release();
      stop.abort(new Error('no longer needed'));
    };
    return { status, headers, pieces: this.#pieces(url, reader, watch, release, request.signal), drop };
  }

  async *#pieces(
    url: string,
    reader: PieceReader | undefined,
    watch: Watch,
    release: () => void,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let ended = false;
    try {
      while (reader) {
        watch.restart();
        const { done, value } = await reader.read();
        // A reader that takes its time is not the upstream's silence.
        watch.end();
        if (done) break;
        if (!value) continue;
        this.#metrics.add('upstream_bytes', value.length);
        yield value;
      }
      ended = true;
    } catch (error) {
      throw this.#unavailable(url, error, signal);
    } finally {
      release();
      if (!ended) await reader?.cancel().catch(() => undefined);
    }
  }

  #unavailable(url: string, error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    if (error instanceof UpstreamUnavailable) return error;
    const why = reasonOf(error);
    if (url.startsWith(this.url)) this.#setDown(why);
    return new UpstreamUnavailable(
      502,
      `This mirror cannot reach ${this.#name(url)}: ${why}. What it holds already is served; try the rest again later.`,
    );
  }

  #setDown(why: string | undefined): void {
    if (why !== undefined && !this.#isDown) this.#log(`The upstream ${this.url} is unavailable: ${why}`);
    if (why === undefined && this.#isDown) this.#log(`The upstream ${this.url} is available again`);
    this.#isDown = why !== undefined;
  }

  #name(url: string): string {
    return url.startsWith(this.url) ? `its upstream ${this.url}` : new URL(url).origin;
  }
}

/** A timer that fires after a silence. */
class Watch {
  readonly #fire: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(fire: () => void) {
    this.#fire = fire;
    this.restart();
  }

  restart(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#fire, SILENT_MS);
    this.#timer.unref();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** Reason of a failed request, without addresses of signed URLs. */
function reasonOf(error: unknown): string {
  if (isXetError(error)) return error.message.replace(/\.$/, '');
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  const text = cause instanceof Error ? cause.message : String(cause);
  return code ?? text.replace(/https?:\/\/\S+/g, 'an address').slice(0, 200);
}
