import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestOptions,
} from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import type { FillingReader, Piece, PieceReader } from './body-reader.ts';
import type { Answer, AnswerHeaders } from './http.ts';

const MOST_REDIRECTS = 20;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Servers that say nothing about it close what is idle after five seconds or more. */
const IDLE_MS = 4000;
/** The few bytes that come with a redirect come at once. */
const MOST_READ_OFF_MS = 1000;
/** What waits unread before the sender is held back, in bytes. */
const HIGH_WATER_BYTES = 256 * 1024;

type Body = string | Uint8Array | undefined;

/** Whether {@link nodeRequest} can send it. */
export const isPlainBody = (body: unknown): body is Body =>
  body === undefined || typeof body === 'string' || body instanceof Uint8Array;

let plain: HttpAgent | undefined;
let encrypted: { agent: HttpsAgent; request: typeof httpRequest } | undefined;

/**
 * What `fetch` does, by the client that `fetch` in Node does not use: a quarter of the work for each byte, and nothing to
 * be loaded first. Errors are like those of `fetch`.
 */
export async function nodeRequest(input: string, init: RequestInit = {}): Promise<Answer> {
  const { signal } = init;
  let url = new URL(input);
  let method = init.method ?? 'GET';
  let body = init.body as Body;
  const headers: OutgoingHttpHeaders = {
    accept: '*/*',
    'user-agent': 'xetkit',
    ...(init.cache === 'no-store' && { 'cache-control': 'no-cache', pragma: 'no-cache' }),
    ...(init.headers as Record<string, string> | undefined),
  };
  // Part of an encoded answer would be of no use.
  if (!('range' in headers) && method === 'GET') headers['accept-encoding'] = 'gzip';
  for (let redirects = 0; ; redirects++) {
    const response = await sendOnce(url, method, headers, body, signal ?? undefined);
    const { location } = response.headers;
    const status = response.statusCode ?? 0;
    if (!REDIRECTS.has(status) || location === undefined)
      return answer(response, url.href, method, signal ?? undefined);
    readOff(response);
    if (redirects === MOST_REDIRECTS) throw failed(new Error('there were too many redirects'));
    const next = new URL(location, url);
    if (!/^https?:$/.test(next.protocol)) throw failed(new Error(`a redirect leads to a ${next.protocol} address`));
    if (next.origin !== url.origin) {
      delete headers.authorization;
      delete headers.cookie;
    }
    if (status === 303 ? method !== 'HEAD' : status < 303 && method === 'POST') {
      method = 'GET';
      body = undefined;
      delete headers['content-type'];
    }
    url = next;
  }
}

/** Reads what nobody wants, so that its connection can be used again; one on which that takes long is closed. */
function readOff(response: IncomingMessage): void {
  const timer = setTimeout(() => response.destroy(), MOST_READ_OFF_MS).unref();
  response.once('close', () => clearTimeout(timer));
  response.resume();
}

async function sendOnce(
  url: URL,
  method: string,
  headers: OutgoingHttpHeaders,
  body: Body,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  for (let again = false; ; again = true) {
    const attempt = await send(url, method, headers, body, signal);
    if (!('error' in attempt)) return attempt;
    // The other side closed it while nobody used it: no failure yet, if asking twice does no harm.
    if (again || !attempt.wasIdle || (method !== 'GET' && method !== 'HEAD')) throw attempt.error;
  }
}

async function send(
  url: URL,
  method: string,
  headers: OutgoingHttpHeaders,
  body: Body,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage | { error: unknown; wasIdle: boolean }> {
  const length = body !== undefined && { 'content-length': Buffer.byteLength(body) };
  const options: RequestOptions = { method, headers: { ...headers, ...length } };
  const { agent, request } = url.protocol === 'https:' ? await overTls() : overTcp();
  signal?.throwIfAborted();
  return new Promise((resolve) => {
    const sent = request(url, { ...options, agent });
    const onAbort = () => sent.destroy(asError(signal?.reason));
    signal?.addEventListener('abort', onAbort, { once: true });
    sent.on('response', (response) => {
      signal?.removeEventListener('abort', onAbort);
      // Whoever reads it finds out by himself; of one that nobody reads it is of no interest.
      response.on('error', () => undefined);
      resolve(response);
    });
    // Also after the answer has come: an early refusal may break off what is still being sent.
    sent.on('error', (error: NodeJS.ErrnoException) => {
      signal?.removeEventListener('abort', onAbort);
      const wasIdle = sent.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      resolve({ error: signal?.aborted ? signal.reason : failed(error), wasIdle: wasIdle && !signal?.aborted });
    });
    sent.end(body);
  });
}

function overTcp(): { agent: HttpAgent; request: typeof httpRequest } {
  plain ??= new HttpAgent({ keepAlive: true, scheduling: 'lifo', timeout: IDLE_MS });
  return { agent: plain, request: httpRequest };
}

/** Loading it takes a while, which a server without encryption does not need. */
async function overTls(): Promise<{ agent: HttpsAgent; request: typeof httpRequest }> {
  if (!encrypted) {
    const { Agent, request } = await import('node:https');
    encrypted ??= { agent: new Agent({ keepAlive: true, scheduling: 'lifo', timeout: IDLE_MS }), request };
  }
  return encrypted;
}

async function answer(
  response: IncomingMessage,
  url: string,
  method: string,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const status = response.statusCode ?? 0;
  // Not of the class `Headers`, with which Node loads all that its `fetch` consists of.
  const headers: AnswerHeaders = {
    get: (name) => {
      const value = response.headers[name.toLowerCase()];
      return (Array.isArray(value) ? value.join(', ') : value) ?? null;
    },
  };
  const ok = status >= 200 && status < 300;
  if (method === 'HEAD' || status === 204 || status === 304) {
    readOff(response);
    return { status, ok, headers, url, body: null };
  }
  const content = await decoded(response, headers.get('content-encoding'));
  return { status, ok, headers, url, body: new NodeBody(response, content, signal) };
}

async function decoded(response: IncomingMessage, encoding: string | null): Promise<Readable> {
  if (encoding !== 'gzip') return response;
  const { createGunzip } = await import('node:zlib');
  const { pipeline } = await import('node:stream');
  // Its errors come to whoever reads.
  return pipeline(response, createGunzip(), () => undefined);
}

/** The body of an answer, piece by piece, with little of it waiting. */
class NodeBody {
  readonly #response: IncomingMessage;
  readonly #content: Readable;
  readonly #signal: AbortSignal | undefined;
  readonly #pieces: Uint8Array[] = [];
  #waitingBytes = 0;
  #end: { error?: unknown } | undefined;
  #wake: (() => void) | undefined;
  readonly #onAbort = () => void this.#response.destroy(asError(this.#signal?.reason));

  constructor(response: IncomingMessage, content: Readable, signal: AbortSignal | undefined) {
    this.#response = response;
    this.#content = content;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    content.on('data', (piece: Uint8Array) => this.#take(piece));
    content.on('end', () => this.#finish({}));
    content.on('error', (error) => this.#finish({ error: signal?.aborted ? signal.reason : failed(error) }));
    content.on('close', () => this.#finish({ error: failed(new Error('the other side closed the connection')) }));
    if (signal?.aborted) this.#onAbort();
    else if (content.errored) this.#finish({ error: failed(content.errored) });
  }

  #take(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#waitingBytes += piece.length;
    if (this.#waitingBytes >= HIGH_WATER_BYTES) this.#content.pause();
    this.#notify();
  }

  #finish(end: { error?: unknown }): void {
    if (this.#end) return;
    this.#end = end;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#notify();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  getReader(): PieceReader & FillingReader {
    return { read: (into?: Uint8Array) => this.#read(into), cancel: async () => void this.#response.destroy() };
  }

  /** What has come, all of it at once, or as much as there is room for: each piece has a long way through its readers. */
  async #read(into: Uint8Array | undefined): Promise<Piece> {
    if (this.#pieces.length === 0 && !this.#end) await new Promise<void>((resolve) => (this.#wake = resolve));
    // The connection may have more to give in this turn of the loop.
    if (this.#waitingBytes < HIGH_WATER_BYTES && !this.#end) await new Promise((resolve) => setImmediate(resolve));
    if (this.#pieces.length > 0) {
      const value = into ? this.#fill(into) : joined(this.#pieces.splice(0));
      this.#waitingBytes -= value.length;
      if (this.#content.isPaused() && this.#waitingBytes < HIGH_WATER_BYTES) this.#content.resume();
      return { done: false, value };
    }
    if (this.#end && 'error' in this.#end) throw this.#end.error;
    return { done: true };
  }

  #fill(into: Uint8Array): Uint8Array {
    let filled = 0;
    for (let [piece] = this.#pieces; piece && filled < into.length; [piece] = this.#pieces) {
      const taken = piece.subarray(0, into.length - filled);
      into.set(taken, filled);
      filled += taken.length;
      if (taken.length === piece.length) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(taken.length);
    }
    return into.subarray(0, filled);
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  return first && pieces.length === 1 ? first : Buffer.concat(pieces);
}

/** As `fetch` says it. */
function failed(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
