import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FaultAction, FaultPlan, RequestKind } from '../faults.ts';
import { HubError } from '../hub-error.ts';
import { type BodyPieces, only, paced, type SendRate, tamper } from './body-faults.ts';
import { pause } from './pause.ts';
import type { RequestRecord } from './request-log.ts';
import type { SenderFacts } from './sender.ts';

export type OutgoingHeaders = Record<string, string | number | undefined>;

/** A body that is read while it is sent. */
export interface StreamedBody {
  /** In bytes; `undefined` where it is not known, which makes the answer chunked. */
  length: number | undefined;
  pieces: BodyPieces;
}

/** So much of the last bytes before a reset reaches the reader, who would lose what he has not read yet. */
const RESET_PAUSE_MS = 30;

const paces = new WeakMap<Socket, SendRate>();

/** One request and its answer. Every answer leaves through `send`, where faults are applied and bytes counted. */
export class HubExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** The path as it was sent, without the query. */
  readonly path: string;
  /** Its parts, decoded one by one: a slash that was escaped stays inside its part. */
  readonly segments: string[];
  readonly query: URLSearchParams;
  readonly record: RequestRecord;
  /** Aborted when the connection is gone. */
  readonly signal: AbortSignal;
  fault: FaultAction | undefined;
  readonly #faults: FaultPlan;

  constructor(request: IncomingMessage, response: ServerResponse, record: RequestRecord, faults: FaultPlan) {
    this.request = request;
    this.response = response;
    this.record = record;
    this.#faults = faults;
    this.method = request.method ?? 'GET';
    const target = request.url ?? '/';
    const question = target.indexOf('?');
    this.path = question < 0 ? target : target.slice(0, question);
    this.query = new URLSearchParams(question < 0 ? '' : target.slice(question + 1));
    this.segments = this.path.split('/').slice(1).map(decodeSegment);
    const gone = new AbortController();
    const onGone = () => gone.abort();
    // A response that has to wait for the one before it is not told when the connection is closed meanwhile.
    request.socket.once('close', onGone);
    response.once('close', () => {
      request.socket.off('close', onGone);
      onGone();
    });
    this.signal = gone.signal;
  }

  /** Says what this request is for, and draws the fault that is meant for it. */
  begin(kind: RequestKind): void {
    this.record.kind = kind;
    this.fault = this.#faults.take(kind, this.path);
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  get senderFacts(): SenderFacts {
    const { host, origin, 'sec-fetch-site': fetchSite } = this.request.headers;
    const { localAddress } = this.request.socket;
    return { method: this.method, host, origin, fetchSite: fetchSite?.toString(), localAddress };
  }

  bearer(): string | undefined {
    return /^Bearer\s+(\S+)$/i.exec(this.header('authorization') ?? '')?.[1];
  }

  json(status: number, value: unknown, headers: OutgoingHeaders = {}): Promise<void> {
    return this.send(status, { 'content-type': 'application/json; charset=utf-8', ...headers }, JSON.stringify(value));
  }

  text(status: number, text: string, headers: OutgoingHeaders = {}): Promise<void> {
    return this.send(status, { 'content-type': 'text/plain; charset=utf-8', ...headers }, text);
  }

  /** Sends the answer and waits until it is written. */
  async send(status: number, headers: OutgoingHeaders, body: string | Uint8Array | StreamedBody = ''): Promise<void> {
    const whole = typeof body === 'string' ? Buffer.from(body) : body;
    let { length, pieces } =
      whole instanceof Uint8Array ? { length: whole.length as number | undefined, pieces: only(whole) } : whole;
    let ending: 'whole' | 'cut' | 'reset' = 'whole';
    if (this.fault && this.method !== 'HEAD') {
      ({ length, pieces, ending } = tamper(this.fault, length, pieces, this.signal));
    }
    if (this.#faults.bytesPerSecond > 0) {
      pieces = paced(pieces, this.#faults.bytesPerSecond, this.#pace(), this.signal);
    }
    const { response } = this;
    this.record.status = status;
    const bodyless = this.method === 'HEAD' || status === 204 || status === 304;
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    if (length !== undefined && status !== 204 && status !== 304) response.setHeader('content-length', length);
    response.writeHead(status);
    if (bodyless) {
      response.end();
      return;
    }
    // What goes wrong with a body comes after the headers, also where it is the first byte that does.
    if (this.fault) response.flushHeaders();
    for await (const piece of pieces) {
      if (response.destroyed || this.signal.aborted) return;
      this.record.bytesSent += piece.length;
      if (!response.write(piece)) await this.#drained();
    }
    if (ending === 'whole') response.end();
    else await this.#cutOff(ending);
  }

  /** Closes the connection without a word. */
  refuse(): void {
    this.response.destroy();
  }

  #pace(): SendRate {
    const { socket } = this.request;
    const known = paces.get(socket);
    if (known) return known;
    const pace = { freeAt: 0 };
    paces.set(socket, pace);
    return pace;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const { response, signal } = this;
      if (response.destroyed || signal.aborted) return resolve();
      const finish = () => {
        response.off('drain', finish);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      response.on('drain', finish);
      signal.addEventListener('abort', finish);
    });
  }

  async #cutOff(how: 'cut' | 'reset'): Promise<void> {
    const { socket } = this.response;
    if (!socket) return;
    await new Promise<void>((resolve) => {
      if (socket.destroyed) resolve();
      else socket.write('', () => resolve());
    });
    if (how === 'cut') {
      socket.destroySoon();
      return;
    }
    await pause(RESET_PAUSE_MS, this.signal);
    socket.resetAndDestroy();
  }
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new HubError(400, 'The path is not well-formed.');
  }
}
