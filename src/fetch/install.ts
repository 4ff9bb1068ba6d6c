import type { XetClientOptions } from '../client/options.ts';
import { checked, INSTALL_XET } from '../core/arguments.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { BodyOutcome } from './body.ts';
import { type PageLike, ServiceWorkerKeepAlive, type ServiceWorkerScope } from './keep-alive.ts';
import { buffered } from './response.ts';
import type { XetProgressMessage } from './worker-messages.ts';
import { type FetchProgress, type MakeClient, XetFetcher, type XetFetchOptions } from './xet-fetch.ts';

/** Options of `installXet`. */
export interface InstallXetOptions extends Omit<XetFetchOptions, 'client'> {
  /** Options of the client. Default: the client's defaults; it decodes on the service worker's own thread. */
  client?: XetClientOptions;
  /** Takes control of pages that are already open. Default: true. */
  claim?: boolean;
  /** Sends pages the progress of their downloads. Default: true. */
  progress?: boolean;
}

/** Result of `installXet`. */
export interface InstalledXet {
  /** True if the request is served over Xet; all others are left to the network. */
  handles(request: Request): boolean;
  /** Ends transfers under way. Later requests are left to the network. */
  close(): Promise<void>;
}

/** The platform's `FetchEvent`, which only TypeScript's worker library describes. */
interface FetchEventLike extends Event {
  readonly request: Request;
  readonly clientId: string;
  respondWith(response: Promise<Response>): void;
  waitUntil(work: Promise<unknown>): void;
}

/** Bodies up to this size are finished without the help of a page. */
const SMALL_BYTES = 1024 * 1024;
/** Without a page that keeps the worker running, bodies up to this size are sent once they are complete in memory. */
const MAX_BUFFERED_BYTES = 32 * 1024 * 1024;
/** Time for that, well before a browser stops the worker. */
const MAX_BUFFERING_MS = 15_000;

/** Time for the browser to look up a page. */
const CLIENT_MS = 200;

interface ServiceWorkerContext {
  makeClient: MakeClient;
  /** True if the browser lets the worker finish the bodies that it has begun. */
  finishesBodies: boolean;
}

/** Installs the `fetch` handler of a service worker. Must be called while its script first runs. */
export function installFetcher(
  scope: ServiceWorkerScope,
  given: InstallXetOptions,
  { makeClient, finishesBodies }: ServiceWorkerContext,
): InstalledXet {
  // As of a program that runs where there is no service worker.
  if (typeof scope?.addEventListener !== 'function' || typeof scope.clients !== 'object')
    throw new XetError('INVALID_ARGUMENT', 'installXet takes the scope of a service worker: installXet(self).');
  const { claim = true, progress = true, client, ...options } = checked('installXet', given, INSTALL_XET);
  // A service worker cannot start workers.
  const fetcher = new XetFetcher({ ...options, client: { workers: 0, ...client } }, makeClient);
  const warn = options.onWarning ?? client?.onWarning;
  const server = new PageServer({ scope, fetcher, progress, finishesBodies, warn });
  scope.addEventListener('fetch', (event) => {
    const { request, clientId } = event as FetchEventLike;
    // A request without a response is left to the browser.
    if (fetcher.handles(request)) (event as FetchEventLike).respondWith(server.respond(request, clientId));
  });
  if (claim) {
    scope.addEventListener('activate', (event) => (event as FetchEventLike).waitUntil(scope.clients.claim()));
  }
  return { handles: (request) => fetcher.handles(request), close: () => fetcher.close() };
}

interface PageServerParts {
  scope: ServiceWorkerScope;
  fetcher: XetFetcher;
  progress: boolean;
  finishesBodies: boolean;
  warn: ((message: string) => void) | undefined;
}

/** Serves the requests of pages within the lifetime that browsers grant a service worker. */
class PageServer {
  readonly #parts: PageServerParts;
  readonly #keepAlive: ServiceWorkerKeepAlive;
  #warned = false;

  constructor(parts: PageServerParts) {
    this.#parts = parts;
    this.#keepAlive = new ServiceWorkerKeepAlive(parts.scope);
  }

  async respond(request: Request, clientId: string): Promise<Response> {
    const { fetcher, progress, finishesBodies } = this.#parts;
    const requesting = this.#pagesOf(clientId);
    const tell = progress ? messenger(request.url, requesting) : undefined;
    const lost = new AbortController();
    const { signal } = request;
    let settled = false;
    let release = () => {};
    const onSettled = (outcome: BodyOutcome) => {
      settled = true;
      release();
      if (outcome.how === 'failed' && !signal.aborted) tell?.(undefined, outcome.error);
    };
    const response = await fetcher.fetch(
      request,
      { signal: AbortSignal.any([signal, lost.signal]) },
      { onProgress: tell && ((_, state) => tell(state)), onSettled },
    );
    if (settled || finishesBodies) return response;
    const length = Number(response.headers.get('content-length'));
    // Short bodies need no page: the page may be blocked in a synchronous request.
    const pages = length > SMALL_BYTES ? await requesting : [];
    if (await this.#keepAlive.reaches(pages)) {
      release = this.#keepAlive.start(pages, () => lost.abort(noPageReplies()));
      if (settled) release();
      return response;
    }
    if (length <= MAX_BUFFERED_BYTES) {
      const whole = await buffered(response, MAX_BUFFERING_MS);
      if (whole) return whole;
    } else {
      await response.body?.cancel();
    }
    this.#warnOnce();
    return fetcher.original(request);
  }

  /** The page that sent the request; all pages if a worker of a page did, as workers cannot be identified. */
  async #pagesOf(clientId: string): Promise<readonly PageLike[]> {
    const { clients } = this.#parts.scope;
    // In Firefox the lookup of a worker that is blocked in a synchronous request does not settle before the request.
    const sender = await settledWithin(clients.get(clientId), CLIENT_MS);
    if (sender?.type === 'window') return [sender];
    return (await settledWithin(clients.matchAll({ type: 'window' }), CLIENT_MS)) ?? [];
  }

  #warnOnce(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#parts.warn?.(
      'Large files bypass Xet because this browser would stop the service worker before they are complete. Call onXetProgress() of xetkit/fetch in the page.',
    );
  }
}

/** The value of a promise; undefined if it rejects or takes longer. */
function settledWithin<T>(promise: Promise<T>, withinMs: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, withinMs, undefined);
    promise.then(resolve, () => resolve(undefined)).finally(() => clearTimeout(timer));
  });
}

function noPageReplies(): XetError {
  return new XetError('CLOSED', 'The pages stopped replying, so the browser is about to stop this service worker.');
}

type Tell = (state: FetchProgress | undefined, error?: unknown) => void;

function messenger(url: string, pages: Promise<readonly PageLike[]>): Tell {
  let last: FetchProgress = { loaded: 0, total: 0, bytesPerSecond: 0, etaSeconds: undefined, done: false };
  return (state, error) => {
    last = state ?? last;
    const message: XetProgressMessage = { type: 'xetkit-progress', url, ...last };
    if (error !== undefined) message.error = describeError(error);
    void pages.then((found) => {
      for (const page of found) page.postMessage(message);
    });
  };
}

function describeError(error: unknown): { code: string | undefined; message: string } {
  return {
    code: isXetError(error) ? error.code : undefined,
    message: error instanceof Error ? error.message : String(error),
  };
}
