import type { XetClientOptions } from '../client/options.ts';
import { checked, INSTALL_XET } from '../core/arguments.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { Ending } from './body.ts';
import { collected } from './collect.ts';
import { Keepers, type PageLike, type ServiceWorkerScope } from './keepers.ts';
import type { XetProgressMessage } from './worker-messages.ts';
import { type FetchProgress, type MakeClient, XetFetcher, type XetFetchOptions } from './xet-fetch.ts';

/** What a service worker is to do. */
export interface InstallXetOptions extends Omit<XetFetchOptions, 'client'> {
  /** What to make the client of. Default: a client with its defaults, that decodes on the worker's own thread. */
  client?: XetClientOptions;
  /** Takes charge of the pages that are already open. Default: true. */
  claim?: boolean;
  /** Tells pages how their downloads go. Default: true. */
  progress?: boolean;
}

/** What is installed; `handles` says which requests it answers. */
export interface InstalledXet {
  /** Whether it answers such a request itself. */
  handles(request: Request): boolean;
  /** Ends what is under way; requests are the network's again. */
  close(): Promise<void>;
}

/** As the platform has it, which only the types of workers describe. */
interface FetchEventLike extends Event {
  readonly request: Request;
  readonly clientId: string;
  respondWith(response: Promise<Response>): void;
  waitUntil(work: Promise<unknown>): void;
}

/** So much is answered in one piece, whoever asks. */
const SMALL_BYTES = 1024 * 1024;
/** So much is answered in one piece where no page keeps the worker running, if it comes soon. */
const COLLECTED_BYTES = 32 * 1024 * 1024;
/** Well before a browser stops a worker. */
const COLLECTED_MS = 15_000;

/** Browsers say within moments who asked, if they say it at all. */
const CLIENT_MS = 200;

export interface Surroundings {
  makeClient: MakeClient;
  /** Whether the browser lets a worker finish the bodies that it has begun, without a page that asks for it. */
  letsFinish: boolean;
}

/** Has a service worker answer requests for files of the Hub. Must be called while its script first runs. */
export function installFetcher(
  scope: ServiceWorkerScope,
  given: InstallXetOptions,
  { makeClient, letsFinish }: Surroundings,
): InstalledXet {
  const { claim = true, progress = true, client, ...options } = checked('installXet', given, INSTALL_XET);
  // No worker can start another one.
  const fetcher = new XetFetcher({ ...options, client: { workers: 0, ...client } }, makeClient);
  const warn = options.onWarning ?? client?.onWarning;
  const server = new PageServer({ scope, fetcher, progress, letsFinish, warn });
  scope.addEventListener('fetch', (event) => {
    const { request, clientId } = event as FetchEventLike;
    // What is not answered here goes its way as if this were not here.
    if (fetcher.handles(request)) (event as FetchEventLike).respondWith(server.answer(request, clientId));
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
  letsFinish: boolean;
  warn: ((message: string) => void) | undefined;
}

/** Answers the requests of pages, within the life that browsers grant a service worker. */
class PageServer {
  readonly #parts: PageServerParts;
  readonly #keepers: Keepers;
  #warned = false;

  constructor(parts: PageServerParts) {
    this.#parts = parts;
    this.#keepers = new Keepers(parts.scope);
  }

  async answer(request: Request, clientId: string): Promise<Response> {
    const { fetcher, progress, letsFinish } = this.#parts;
    const asking = this.#pagesOf(clientId);
    const tell = progress ? messenger(request.url, asking) : undefined;
    const lost = new AbortController();
    const { signal } = request;
    let settled = false;
    let release = () => {};
    const onSettled = (ending: Ending) => {
      settled = true;
      release();
      if (ending.how === 'failed' && !signal.aborted) tell?.(undefined, ending.error);
    };
    const response = await fetcher.fetch(
      request,
      { signal: AbortSignal.any([signal, lost.signal]) },
      { onProgress: tell && ((_, state) => tell(state)), onSettled },
    );
    if (settled || letsFinish) return response;
    const length = Number(response.headers.get('content-length'));
    // Short bodies need no page: who asks may be stuck in a synchronous request, and its page with it.
    const pages = length > SMALL_BYTES ? await asking : [];
    if (await this.#keepers.answer(pages)) {
      release = this.#keepers.hold(pages, () => lost.abort(nobodyAnswers()));
      if (settled) release();
      return response;
    }
    if (length <= COLLECTED_BYTES) {
      const whole = await collected(response, COLLECTED_MS);
      if (whole) return whole;
    } else {
      await response.body?.cancel();
    }
    this.#warnOnce();
    return fetcher.original(request);
  }

  /** The page that asked; where a worker of a page did, all pages, as nobody sees a worker. */
  async #pagesOf(clientId: string): Promise<readonly PageLike[]> {
    const { clients } = this.#parts.scope;
    // Firefox says nothing of a worker that waits in a synchronous request, for as long as that waits.
    const asker = await orUndefined(clients.get(clientId), CLIENT_MS);
    if (asker?.type === 'window') return [asker];
    return (await orUndefined(clients.matchAll({ type: 'window' }), CLIENT_MS)) ?? [];
  }

  #warnOnce(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#parts.warn?.(
      'Large files go past Xet, as this browser would stop a service worker in the middle of them: call onXetProgress() of xetkit/fetch in the page.',
    );
  }
}

/** The value of a promise; undefined if it fails or takes longer. */
function orUndefined<T>(promise: Promise<T>, withinMs: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, withinMs, undefined);
    promise.then(resolve, () => resolve(undefined)).finally(() => clearTimeout(timer));
  });
}

function nobodyAnswers(): XetError {
  return new XetError('CLOSED', 'No page answers any more, so the browser is about to stop this service worker.');
}

type Tell = (state: FetchProgress | undefined, error?: unknown) => void;

function messenger(url: string, asking: Promise<readonly PageLike[]>): Tell {
  let last: FetchProgress = { loaded: 0, total: 0, bytesPerSecond: 0, etaSeconds: undefined, done: false };
  return (state, error) => {
    last = state ?? last;
    const message: XetProgressMessage = { type: 'xetkit-progress', url, ...last };
    if (error !== undefined) message.error = inWords(error);
    void asking.then((pages) => {
      for (const page of pages) page.postMessage(message);
    });
  };
}

function inWords(error: unknown): { code: string | undefined; message: string } {
  return {
    code: isXetError(error) ? error.code : undefined,
    message: error instanceof Error ? error.message : String(error),
  };
}
