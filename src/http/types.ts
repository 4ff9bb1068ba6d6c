import type { XetError } from '../core/errors.ts';
import type { UrlKind } from '../core/metrics.ts';
import type { ResponseBody } from './body-reader.ts';

/** Sends a request: the platform's `fetch`, or a custom one. */
export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** Of an answer; names in any case. */
export type ResponseHeaders = Pick<Headers, 'get'>;

/** As much of a `Response` as is used here. */
export interface HttpResponse {
  readonly status: number;
  readonly ok: boolean;
  readonly headers: ResponseHeaders;
  /** After redirects. */
  readonly url: string;
  /** Known of what the platform's `fetch` answers. */
  readonly redirected?: boolean;
  readonly body: ResponseBody | null;
}

/** Timeouts for a server. */
export interface Timeouts {
  /** Longest wait for the head of an answer, in milliseconds. */
  connectMs: number;
  /** Longest silence in the middle of a body, in milliseconds. */
  stallMs: number;
}

/** Report of a failed attempt and the delay before the next one. */
export interface RetryNotice {
  /** Service that failed. */
  kind: UrlKind;
  /** Without query. */
  url: string;
  /** The one that failed, from 1 on. */
  attempt: number;
  /** Largest number of attempts. */
  attempts: number;
  /** Milliseconds until the next one. */
  delayMs: number;
  /** The failure. */
  error: XetError;
}

/** HTTP client in Node: xetkit's own, or the platform's `fetch`. */
export type TransportName = 'own' | 'platform';

/** The same, asked where a request goes in place of where each redirect leads, where that can be known. */
export type SendingFetch = (input: string, init?: RequestInit, rewrite?: RewriteRedirect) => Promise<HttpResponse>;

/** Also how long the Hub may take to answer a question, in milliseconds, if not as long as others. */
export interface HttpTimeouts extends Timeouts {
  hubMs?: number;
}

/** An answer whose head has arrived. Its body must be read to the end or dropped. */
export interface Reply {
  status: number;
  headers: ResponseHeaders;
  /** After redirects. */
  url: string;
  /** True if redirects led to another server than the one that was asked. */
  elsewhere: boolean;
  /** The body as it arrives; silence beyond the stall timeout throws `STALLED`, a broken connection `NETWORK`. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /** The same, each piece in the same memory as the one before where that can be: of use until the next is asked for. */
  lentChunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /** The whole body as text, refusing more than `maxBytes`. */
  text(maxBytes: number): Promise<string>;
  /** Closes the connection; safe at any time. */
  drop(): void;
}

/** The budget that buffered answers count towards. */
export interface MemoryCount {
  readonly limitBytes: number;
  tryAcquire(bytes: number, urgent: boolean): boolean;
  release(bytes: number): void;
}

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
  attempts?: number | undefined;
  /**
   * True if it waits while this device is offline, as what is under way does. Default: for the CAS and data. What is
   * asked first fails, so that its caller can say so.
   */
  waits?: boolean;
  patience?: Patience;
}

/** Bytes that follow each other. */
export type Pieces = readonly Uint8Array[];

/** Maps the target of a redirect to the address that is requested. */
export type RewriteRedirect = (url: string) => string;

/** Factors by which a request waits longer than others. */
export interface Patience {
  /** Bytes of its body: the answer comes only when all of that is sent. */
  sendBytes?: number;
  /** By how many times the connect timeout is longer, for what the server works on before it answers. */
  connect?: number;
  /** By how many times the stall timeout is longer. */
  stall?: number;
}
