import type { XetClientOptions } from '../client/options.ts';
import { checked, XET_FETCH } from '../core/arguments.ts';
import { ProgressMeter } from '../core/progress.ts';
import { BENEATH, beneath } from '../http/network-fetch.ts';
import { type HubAddress, HubAddresses } from './address.ts';
import { type BodyOutcome, createBody } from './body.ts';
import { errorResponse, isOwnFailure } from './error-response.ts';
import { respondTo } from './file-response.ts';
import { type FetchInput, type HubRequest, isRequest, parseHubRequest } from './hub-request.ts';
import type { OpenFile } from './opened-files.ts';
import { responseFrom } from './response.ts';
import { type ClientLease, type FetchClient, TokenClients } from './token-clients.ts';

/** Progress of a response body. */
export interface FetchProgress {
  /** Bytes read so far. */
  loaded: number;
  /** Bytes in total. */
  total: number;
  /** Average of the last few seconds. */
  bytesPerSecond: number;
  /** Estimated seconds left; undefined while unknown. */
  etaSeconds: number | undefined;
  /** True in the last report of a complete body. */
  done: boolean;
}

/** Options of `createXetFetch`. */
export interface XetFetchOptions {
  /**
   * The client to use, or options for a new one. A client has one token, so with a client of your own, requests that
   * carry a token are passed on, and those without one use the client's. Default: a new client with its defaults.
   */
  client?: FetchClient | XetClientOptions;
  /** Receives all other requests. Default: the global `fetch` at the time of the call. */
  fetch?: typeof globalThis.fetch;
  /**
   * Other URLs of the same Hub, such as `https://huggingface.co` if `endpoint` is a mirror. Requests to them are served
   * from the endpoint, except for those that carry a token, which is not meant for the mirror. Default: none.
   */
  aliases?: readonly string[];
  /** Called with the progress of bodies, by requested URL, at most ten times a second. */
  onProgress?: (url: string, progress: FetchProgress) => void;
  /** Called when a request that could be served over Xet is passed on. Default: the client's `onWarning`. */
  onWarning?: (message: string) => void;
}

/** A `fetch` that gets files of a Hub over Xet and passes all other requests on. */
export interface XetFetch {
  (input: FetchInput, init?: RequestInit): Promise<Response>;
  /** True if the request would be served over Xet. */
  handles(input: FetchInput, init?: RequestInit): boolean;
  /** Ends transfers under way, and closes the clients that were created for this `fetch`. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type MakeClient = (options: XetClientOptions) => FetchClient;

/** Callbacks of one request. */
interface FetchHooks {
  onProgress?: ((url: string, progress: FetchProgress) => void) | undefined;
  /** Called once when the body ends, or at once if there is none. */
  onSettled?: ((outcome: BodyOutcome) => void) | undefined;
}

/** Serves requests for files of a Hub, and passes all others on. */
export class XetFetcher {
  /** Receives all other requests. */
  readonly original: typeof globalThis.fetch;
  readonly #addresses: HubAddresses;
  readonly #clients: TokenClients;
  readonly #plainAllowed: boolean;
  readonly #warn: (message: string) => void;
  readonly #onProgress: XetFetchOptions['onProgress'];

  constructor(options: XetFetchOptions, makeClient: MakeClient) {
    const original = options.fetch ?? beneath(globalThis.fetch);
    // The platform's fetch throws if it is called as a method.
    this.original = (...request) => original(...request);
    const given = options.client ?? {};
    const clientOptions = isClient(given) ? undefined : given;
    const make = (more: XetClientOptions) =>
      makeClient({ fetch: (url, init) => original(url, init), ...clientOptions, ...more });
    const own = isClient(given) ? given : make({});
    this.#clients = new TokenClients(own, {
      closesOwn: own !== given,
      make: clientOptions && ((accessToken) => make({ accessToken })),
    });
    this.#addresses = new HubAddresses(own.endpoint, options.aliases);
    this.#plainAllowed = clientOptions?.fallback !== 'never';
    this.#warn = options.onWarning ?? clientOptions?.onWarning ?? (() => undefined);
    this.#onProgress = options.onProgress;
  }

  handles(input: FetchInput, init?: RequestInit): boolean {
    const request = parseHubRequest(this.#addresses, input, init);
    return request !== undefined && this.#clients.serves(request.token);
  }

  async fetch(input: FetchInput, init?: RequestInit, hooks: FetchHooks = {}): Promise<Response> {
    const request = parseHubRequest(this.#addresses, input, init);
    const lease = request && this.#clients.lease(request.token);
    if (!request || !lease) return this.original(...this.#plain(input, init));
    const settle = (outcome: BodyOutcome) => {
      lease.release();
      hooks.onSettled?.(outcome);
    };
    try {
      const file = await this.#open(request, lease);
      return this.#respond(request, file, { onProgress: hooks.onProgress, onSettled: settle });
    } catch (error) {
      settle({ how: 'failed', error });
      if (request.signal?.aborted) throw error;
      const refusal = errorResponse(error);
      if (refusal) return responseFrom(request.address.url, request.method === 'HEAD' ? null : refusal.text, refusal);
      if (!this.#plainAllowed || !isOwnFailure(error)) throw error;
      this.#warnOf(request.address, error);
      return this.original(...this.#plain(input, init));
    }
  }

  close(): Promise<void> {
    return this.#clients.close();
  }

  /** A request as it is passed on: unchanged, unless it has an `hf:` URL, which only we understand. */
  #plain(input: FetchInput, init: RequestInit | undefined): [FetchInput, RequestInit?] {
    const text = isRequest(input) ? input.url : String(input);
    const address = /^hf:/i.test(text) && URL.canParse(text) ? this.#addresses.find(new URL(text)) : undefined;
    if (!address) return init === undefined ? [input] : [input, init];
    return [isRequest(input) ? new Request(address.url, input) : address.url, init];
  }

  #open({ address, headers, method, fresh, signal }: HubRequest, { files }: ClientLease): Promise<OpenFile> {
    // A range is usually one of many. A request for all, or with a condition, means the current version of the file.
    const conditional = ['if-match', 'if-none-match', 'if-range'].some((name) => headers.has(name));
    const ranged = headers.has('range');
    return files.open(address, ranged && !conditional && !fresh, method === 'GET' && !ranged, signal);
  }

  #respond(request: HubRequest, file: OpenFile, { onProgress, onSettled }: FetchHooks): Response {
    const { address, headers, method, signal } = request;
    const response = respondTo({ headers, attachment: address.attachment }, file);
    const range = 'content' in response.body ? response.body.content : undefined;
    if (!range || method === 'HEAD' || range.start === range.end) {
      onSettled?.({ how: 'whole' });
      const text = 'text' in response.body ? response.body.text : '';
      return responseFrom(address.url, method === 'HEAD' || response.status === 304 ? null : text, response);
    }
    const length = range.end - range.start;
    const cautious = response.status === 206 && range.end === file.size;
    const meter = this.#meter(address.url, length, onProgress);
    const body = createBody({
      length,
      // Media players request all the rest at each seek, and stop soon.
      read: (stop) => file.slice(range.start, range.end).stream({ signal: stop, cautious }),
      signal,
      onBytes: (bytes) => meter.content(bytes, file.path),
      onSettled: (outcome) => {
        if (outcome.how === 'whole') meter.fileDone();
        onSettled?.(outcome);
      },
    });
    return responseFrom(address.url, body, response);
  }

  #meter(url: string, bytes: number, onProgress: FetchHooks['onProgress']): ProgressMeter {
    const listeners = [this.#onProgress, onProgress].filter((listener) => listener !== undefined);
    if (listeners.length === 0) return new ProgressMeter({ files: 1, bytes }, undefined);
    return new ProgressMeter({ files: 1, bytes }, ({ phase, bytes: { done, total }, bytesPerSecond, etaSeconds }) => {
      const progress = { loaded: done, total, bytesPerSecond, etaSeconds, done: phase === 'done' };
      for (const listener of listeners) listener(url, progress);
    });
  }

  #warnOf({ path }: HubAddress, error: unknown): void {
    const reason = (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
    this.#warn(
      `'${path}' is not available over Xet (${reason}). The request is passed on, so its content is not verified.`,
    );
  }
}

/** The `fetch` of a fetcher. */
function asFetch(fetcher: XetFetcher): XetFetch {
  const close = () => fetcher.close();
  return Object.assign((input: FetchInput, init?: RequestInit) => fetcher.fetch(input, init), {
    handles: (input: FetchInput, init?: RequestInit) => fetcher.handles(input, init),
    close,
    [Symbol.asyncDispose]: close,
    [BENEATH]: fetcher.original,
  });
}

export function makeXetFetch(options: XetFetchOptions, makeClient: MakeClient): XetFetch {
  return asFetch(new XetFetcher(checked('createXetFetch', options, XET_FETCH), makeClient));
}

function isClient(given: FetchClient | XetClientOptions): given is FetchClient {
  return 'open' in given && typeof given.open === 'function';
}
