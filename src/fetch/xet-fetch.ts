import type { XetClientOptions } from '../client/options.ts';
import { checked, XET_FETCH } from '../core/arguments.ts';
import { ProgressMeter } from '../core/progress.ts';
import { BENEATH, beneath } from '../http/network-fetch.ts';
import { type HubAddress, HubAddresses } from './address.ts';
import { answerTo } from './answer.ts';
import { type Asked, type FetchInput, isRequest, readAsked } from './asked.ts';
import { bodyOf, type Ending } from './body.ts';
import { Clients, type FetchClient, type Lease } from './clients.ts';
import type { OpenFile } from './opened-files.ts';
import { isOurFailure, refusalOf } from './refusal.ts';
import { responseFrom } from './response.ts';

/** How far the body of an answer has come. */
export interface FetchProgress {
  /** Bytes of the body that have been read. */
  loaded: number;
  /** Bytes of the body. */
  total: number;
  /** Over the last few seconds. */
  bytesPerSecond: number;
  /** Undefined while nothing can be said. */
  etaSeconds: number | undefined;
  /** Whether this is the last report of a body that came whole. */
  done: boolean;
}

/** What is answered, by which client, and who is told. */
export interface XetFetchOptions {
  /**
   * The client that answers, or what to make one of. With a client of your own, requests that bring a token of
   * theirs are passed on, as a client has one token. Requests without one go with the client's. Default: a client
   * with its defaults.
   */
  client?: FetchClient | XetClientOptions;
  /** What everything else is passed on to. Default: the `fetch` in place when this is made. */
  fetch?: typeof globalThis.fetch;
  /**
   * Other addresses of the same Hub, such as `https://huggingface.co` where `endpoint` is a mirror: requests to
   * them are answered from the endpoint, but for those that bring a token, which is not the mirror's. Default: none.
   */
  aliases?: readonly string[];
  /** Told how far bodies have come, by the address that was asked, at most ten times a second. */
  onProgress?: (url: string, progress: FetchProgress) => void;
  /** Told when a request that Xet could have served is passed on. Default: as the client's options say. */
  onWarning?: (message: string) => void;
}

/** A `fetch` that gets files of a Hub through Xet, and everything else as ever. */
export interface XetFetch {
  (input: FetchInput, init?: RequestInit): Promise<Response>;
  /** Whether it answers such a request itself. */
  handles(input: FetchInput, init?: RequestInit): boolean;
  /** Ends what is under way, and the clients that were made for this. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type MakeClient = (options: XetClientOptions) => FetchClient;

/** What one request wants to hear. */
export interface Hooks {
  onProgress?: ((url: string, progress: FetchProgress) => void) | undefined;
  /** Told once how it ended, or that there is no body to come. */
  onSettled?: ((ending: Ending) => void) | undefined;
}

/** Answers requests for files of a Hub, and passes on all others. */
export class XetFetcher {
  /** What all else is passed on to. */
  readonly original: typeof globalThis.fetch;
  readonly #addresses: HubAddresses;
  readonly #clients: Clients;
  readonly #plainAllowed: boolean;
  readonly #warn: (message: string) => void;
  readonly #onProgress: XetFetchOptions['onProgress'];

  constructor(options: XetFetchOptions, makeClient: MakeClient) {
    const original = options.fetch ?? beneath(globalThis.fetch);
    // The platform's own minds on what it is called.
    this.original = (...request) => original(...request);
    const given = options.client ?? {};
    const clientOptions = isClient(given) ? undefined : given;
    const make = (more: XetClientOptions) =>
      makeClient({ fetch: (url, init) => original(url, init), ...clientOptions, ...more });
    const own = isClient(given) ? given : make({});
    this.#clients = new Clients(own, {
      closesOwn: own !== given,
      make: clientOptions && ((accessToken) => make({ accessToken })),
    });
    this.#addresses = new HubAddresses(own.endpoint, options.aliases);
    this.#plainAllowed = clientOptions?.fallback !== 'never';
    this.#warn = options.onWarning ?? clientOptions?.onWarning ?? (() => undefined);
    this.#onProgress = options.onProgress;
  }

  handles(input: FetchInput, init?: RequestInit): boolean {
    const asked = readAsked(this.#addresses, input, init);
    return asked !== undefined && this.#clients.serves(asked.token);
  }

  async fetch(input: FetchInput, init?: RequestInit, hooks: Hooks = {}): Promise<Response> {
    const asked = readAsked(this.#addresses, input, init);
    const lease = asked && this.#clients.take(asked.token);
    if (!asked || !lease) return this.original(...this.#plain(input, init));
    const settle = (ending: Ending) => {
      lease.release();
      hooks.onSettled?.(ending);
    };
    try {
      const file = await this.#open(asked, lease);
      return this.#answer(asked, file, { onProgress: hooks.onProgress, onSettled: settle });
    } catch (error) {
      settle({ how: 'failed', error });
      if (asked.signal?.aborted) throw error;
      const refusal = refusalOf(error);
      if (refusal) return responseFrom(asked.address.url, asked.method === 'HEAD' ? null : refusal.text, refusal);
      if (!this.#plainAllowed || !isOurFailure(error)) throw error;
      this.#warnOf(asked.address, error);
      return this.original(...this.#plain(input, init));
    }
  }

  close(): Promise<void> {
    return this.#clients.close();
  }

  /** A request as it is passed on: as it came, unless it names a file in a way that only we know. */
  #plain(input: FetchInput, init: RequestInit | undefined): [FetchInput, RequestInit?] {
    const text = isRequest(input) ? input.url : String(input);
    const address = /^hf:/i.test(text) && URL.canParse(text) ? this.#addresses.find(new URL(text)) : undefined;
    if (!address) return init === undefined ? [input] : [input, init];
    return [isRequest(input) ? new Request(address.url, input) : address.url, init];
  }

  #open({ address, headers, method, fresh, signal }: Asked, { files }: Lease): Promise<OpenFile> {
    // A part of a file is mostly one of many. Whoever asks for all, or under a condition, means the file of now.
    const conditional = ['if-match', 'if-none-match', 'if-range'].some((name) => headers.has(name));
    const ranged = headers.has('range');
    return files.open(address, ranged && !conditional && !fresh, method === 'GET' && !ranged, signal);
  }

  #answer(asked: Asked, file: OpenFile, { onProgress, onSettled }: Hooks): Response {
    const { address, headers, method, signal } = asked;
    const answer = answerTo({ headers, attachment: address.attachment }, file);
    const range = 'content' in answer.body ? answer.body.content : undefined;
    if (!range || method === 'HEAD' || range.start === range.end) {
      onSettled?.({ how: 'whole' });
      const text = 'text' in answer.body ? answer.body.text : '';
      return responseFrom(address.url, method === 'HEAD' || answer.status === 304 ? null : text, answer);
    }
    const length = range.end - range.start;
    const cautious = answer.status === 206 && range.end === file.size;
    const meter = this.#meter(address.url, length, onProgress);
    const body = bodyOf({
      length,
      // Players ask for all the rest at each place that somebody seeks, and stop soon.
      read: (stop) => file.slice(range.start, range.end).stream({ signal: stop, cautious }),
      signal,
      onBytes: (bytes) => meter.content(bytes, file.path),
      onSettled: (ending) => {
        if (ending.how === 'whole') meter.fileDone();
        onSettled?.(ending);
      },
    });
    return responseFrom(address.url, body, answer);
  }

  #meter(url: string, bytes: number, onProgress: Hooks['onProgress']): ProgressMeter {
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
      `'${path}' is not available over Xet (${reason}). The request is passed on, so xetkit verifies nothing of it.`,
    );
  }
}

/** A `fetch` around a fetcher, to be put where one is expected. */
export function asFetch(fetcher: XetFetcher): XetFetch {
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
