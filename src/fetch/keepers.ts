import { AWAKE, isAwakeMessage } from './worker-messages.ts';

/** What is used of the global scope of a service worker. */
export interface ServiceWorkerScope {
  /** As the platform's. */
  addEventListener(type: string, listener: (event: Event) => void): void;
  /** The pages that it serves. */
  readonly clients: {
    get(id: string): Promise<PageLike | undefined>;
    matchAll(options: { type: 'window' }): Promise<readonly PageLike[]>;
    claim(): Promise<void>;
  };
}

/** A page, as a service worker sees it. */
export interface PageLike {
  /** The one that its requests bring. */
  readonly id: string;
  /** As the platform has it: `window` for pages. */
  readonly type: string;
  /** Sends it a message. */
  postMessage(message: unknown): void;
}

/** A page answers a message within moments, if it listens. */
const ANSWER_MS = 300;
/** An answer, or that there was none, holds for a while. */
const KNOWN_MS = 5_000;
const ASK_EVERY_MS = 10_000;
/** Firefox stops a worker after 30 s of silence. */
const LOST_MS = 25_000;

/**
 * Pages that keep this worker running. Firefox stops a service worker that it has no event for, also in the
 * middle of a body, and ends that body as if it were whole. What pages say is an event.
 */
export class Keepers {
  readonly #heardAt = new Map<string, number>();
  readonly #silentAt = new Map<string, number>();
  readonly #waiting = new Set<(id: string) => void>();

  constructor(scope: Pick<ServiceWorkerScope, 'addEventListener'>) {
    scope.addEventListener('message', (event) => {
      const { data, source } = event as MessageEvent<unknown> & { source: { id?: string } | null };
      if (!isAwakeMessage(data) || source?.id === undefined) return;
      this.#heardAt.set(source.id, performance.now());
      this.#silentAt.delete(source.id);
      for (const heard of this.#waiting) heard(source.id);
    });
  }

  /** Whether one of these pages answers. */
  async answer(pages: readonly PageLike[]): Promise<boolean> {
    const now = performance.now();
    const within = (times: Map<string, number>) => (page: PageLike) =>
      now - (times.get(page.id) ?? Number.NEGATIVE_INFINITY) < KNOWN_MS;
    if (pages.some(within(this.#heardAt))) return true;
    if (pages.every(within(this.#silentAt))) return false;
    const answered = await new Promise<boolean>((resolve) => {
      const heard = (id: string) => pages.some((page) => page.id === id) && settle(true);
      const timer = setTimeout(() => settle(false), ANSWER_MS);
      const settle = (value: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(heard);
        resolve(value);
      };
      this.#waiting.add(heard);
      for (const page of pages) page.postMessage(AWAKE);
    });
    if (!answered) for (const page of pages) this.#silentAt.set(page.id, performance.now());
    return answered;
  }

  /** Goes on asking until the function that it gives is called; `onLost` is told if nobody answers any more. */
  hold(pages: readonly PageLike[], onLost: () => void): () => void {
    let lastAnswer = performance.now();
    const heard = (id: string) => {
      if (pages.some((page) => page.id === id)) lastAnswer = performance.now();
    };
    const ask = () => {
      for (const page of pages) page.postMessage(AWAKE);
    };
    const asking = setInterval(ask, ASK_EVERY_MS);
    const watching = setInterval(() => {
      if (performance.now() - lastAnswer > LOST_MS) onLost();
    }, 1000);
    this.#waiting.add(heard);
    return () => {
      clearInterval(asking);
      clearInterval(watching);
      this.#waiting.delete(heard);
    };
  }
}
