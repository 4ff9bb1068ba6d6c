import { badResponse, publicUrl, XetError } from '../core/errors.ts';
import type { MetricsLog } from '../core/metrics.ts';
import { lendingReader, type PieceReader, type ResponseBody } from './body-reader.ts';
import { originOf } from './request-checks.ts';
import type { RequestGuard } from './request-guard.ts';
import type { HttpResponse, MemoryCount, Reply, ResponseHeaders } from './types.ts';

/** By how many stall timeouts a body may be behind the least pace: a byte now and then is no progress. */
const PATIENCE = 3;
/** Bytes a millisecond of waiting, for content. */
const MIN_PACE = 1;
/** The same of answers that are read as a whole before anything is done with them. */
const MIN_TEXT_PACE = 16;
/** Largest ratio of unpacked to packed length: honest lists of similar entries reach thirty. */
const MAX_RATIO = 50;
const WORTH_A_LOOK_BYTES = 4 * 1024 * 1024;

/** A server that leads to itself with encryption is the same. */
const serverOf = (url: string) => originOf(url.replace(/^http:/i, 'https:'));

/** An answer of a fetch, watched as it is read. */
export class FetchReply implements Reply {
  readonly #response: HttpResponse;
  readonly #guard: RequestGuard;
  readonly #stallMs: number;
  readonly #log: MetricsLog;
  readonly #memory: MemoryCount | undefined;

  constructor(response: HttpResponse, guard: RequestGuard, stallMs: number, log: MetricsLog, memory?: MemoryCount) {
    this.#memory = memory;
    this.#response = response;
    this.#guard = guard;
    this.#stallMs = stallMs;
    this.#log = log;
  }

  get status(): number {
    return this.#response.status;
  }

  get headers(): ResponseHeaders {
    return this.#response.headers;
  }

  get url(): string {
    return this.#response.url;
  }

  get elsewhere(): boolean {
    const { url, redirected } = this.#response;
    return redirected !== false && url !== '' && serverOf(url) !== serverOf(this.#guard.url);
  }

  chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#pieces((body) => body.getReader());
  }

  lentChunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const length = Number(this.headers.get('content-length')) || Number.POSITIVE_INFINITY;
    return this.#pieces((body) => lendingReader(body, length));
  }

  async *#pieces(
    open: (body: ResponseBody) => PieceReader,
    leastPace = MIN_PACE,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { body } = this.#response;
    const reader = body && open(body);
    const watch = this.#guard.watch(this.#stallMs, 'STALLED');
    let finished = false;
    let awaiting = 0;
    let bytes = 0;
    let waitedMs = 0;
    try {
      while (reader) {
        const since = performance.now();
        this.#log.await(1);
        awaiting = 1;
        const { done, value } = await watch.over(reader.read());
        this.#log.await(-1);
        awaiting = 0;
        // The time that the reader takes is not the server's.
        waitedMs += performance.now() - since;
        if (done || !value) break;
        bytes += value.length;
        if (waitedMs > PATIENCE * this.#stallMs + bytes / leastPace) throw this.#tooSlow(bytes, waitedMs);
        this.#log.add('network', value.length);
        yield value;
      }
      finished = true;
      this.#guard.release();
    } catch (error) {
      throw this.#guard.explain(error);
    } finally {
      this.#log.await(-awaiting);
      watch.end();
      if (!finished) this.drop();
    }
  }

  async text(maxBytes: number): Promise<string> {
    const most = Math.min(maxBytes, (this.#memory?.limitBytes ?? Number.POSITIVE_INFINITY) / 2);
    const decoder = new TextDecoder();
    let text = '';
    let bytes = 0;
    try {
      for await (const chunk of this.#pieces((body) => body.getReader(), MIN_TEXT_PACE)) {
        bytes += chunk.length;
        // What a download waits for is always let in; the rest waits for it to be gone.
        this.#memory?.tryAcquire(chunk.length, true);
        if (bytes > most) throw this.#refused(`answered more than ${most} bytes`);
        if (bytes > WORTH_A_LOOK_BYTES && bytes > MAX_RATIO * this.#packedBytes(bytes)) {
          throw this.#refused(`answered with ${bytes} bytes that were packed more than ${MAX_RATIO} times`);
        }
        text += decoder.decode(chunk, { stream: true });
      }
      return text + decoder.decode();
    } finally {
      this.#memory?.release(bytes);
    }
  }

  /** Packed bytes received so far, if known. */
  #packedBytes(unpacked: number): number {
    const { body, headers } = this.#response;
    const said = headers.get('content-encoding') ? Number(headers.get('content-length')) : 0;
    return body?.packedBytes?.() || said || unpacked;
  }

  #refused(what: string): XetError {
    return badResponse(this.url, what);
  }

  #tooSlow(bytes: number, ms: number): XetError {
    const said = `${publicUrl(this.url)} sent only ${bytes} bytes in ${Math.round(ms / 1000)} s.`;
    return new XetError('STALLED', said, { url: this.url, retryable: true });
  }

  drop(): void {
    this.#guard.drop();
  }
}
