import { AWAKE, isAwakeMessage } from './worker-messages.ts';

/** The part of a service worker's global scope that is used. */
export interface ServiceWorkerScope {
  /** As on the platform. */
  addEventListener(type: string, listener: (event: Event) => void): void;
  /** The pages that the worker controls. */
  readonly clients: {
    get(id: string): Promise<PageLike | undefined>;
    matchAll(options: { type: 'window' }): Promise<readonly PageLike[]>;
    claim(): Promise<void>;
  };
}

/** A page, as a service worker sees it. */
export interface PageLike {
  /** The `clientId` of its requests. */
  readonly id: string;
  /** As on the platform: `window` for pages. */
  readonly type: string;
  /** Sends the page a message. */
  postMessage(message: unknown): void;
}

/** Time for a page to reply, if it listens. */
const REPLY_MS = 300;
/** A reply, or its absence, is remembered for this long. */
const REMEMBERED_MS = 5_000;
const PING_INTERVAL_MS = 10_000;
/** Firefox stops a worker 30 s after its last event. */
const LOST_MS = 25_000;

/**
 * Keeps a service worker running by exchanging messages with its pages. Firefox stops a service worker that receives no
 * events, even in the middle of a body, and ends that body as if it were complete. A message of a page is an event.
 */
export class ServiceWorkerKeepAlive {
  readonly #heardAt = new Map<string, number>();
  readonly #silentAt = new Map<string, number>();
  readonly #listeners = new Set<(id: string) => void>();

  constructor(scope: Pick<ServiceWorkerScope, 'addEventListener'>) {
    scope.addEventListener('message', (event) => {
      const { data, source } = event as MessageEvent<unknown> & { source: { id?: string } | null };
      if (!isAwakeMessage(data) || source?.id === undefined) return;
      this.#heardAt.set(source.id, performance.now());
      this.#silentAt.delete(source.id);
      for (const heard of this.#listeners) heard(source.id);
    });
  }

  /** True if one of these pages replies. */
  async reaches(pages: readonly PageLike[]): Promise<boolean> {
    const now = performance.now();
    const within = (times: Map<string, number>) => (page: PageLike) =>
      now - (times.get(page.id) ?? Number.NEGATIVE_INFINITY) < REMEMBERED_MS;
    if (pages.some(within(this.#heardAt))) return true;
    if (pages.every(within(this.#silentAt))) return false;
    const replied = await new Promise<boolean>((resolve) => {
      const heard = (id: string) => pages.some((page) => page.id === id) && settle(true);
      const timer = setTimeout(() => settle(false), REPLY_MS);
      const settle = (value: boolean) => {
        clearTimeout(timer);
        this.#listeners.delete(heard);
        resolve(value);
      };
      this.#listeners.add(heard);
      for (const page of pages) page.postMessage(AWAKE);
    });
    if (!replied) for (const page of pages) this.#silentAt.set(page.id, performance.now());
    return replied;
  }

  /** Pings the pages until the returned function is called; calls `onLost` when they stop replying. */
  start(pages: readonly PageLike[], onLost: () => void): () => void {
    let lastReply = performance.now();
    const heard = (id: string) => {
      if (pages.some((page) => page.id === id)) lastReply = performance.now();
    };
    const ping = () => {
      for (const page of pages) page.postMessage(AWAKE);
    };
    const pinging = setInterval(ping, PING_INTERVAL_MS);
    const watching = setInterval(() => {
      if (performance.now() - lastReply > LOST_MS) onLost();
    }, 1000);
    this.#listeners.add(heard);
    return () => {
      clearInterval(pinging);
      clearInterval(watching);
      this.#listeners.delete(heard);
    };
  }
}
