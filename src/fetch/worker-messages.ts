import { checked, ON_PROGRESS } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { FetchProgress } from './xet-fetch.ts';

/** Progress of a download that a page requested from its service worker. */
export interface XetProgressMessage extends FetchProgress {
  /** Distinguishes it from other messages. */
  type: 'xetkit-progress';
  /** The URL that the page requested. */
  url: string;
  /** Reason of a failure, in the last message of the download. */
  error?: { code: string | undefined; message: string };
}

/** Ping of a service worker to its pages while it works, and their reply. */
interface AwakeMessage {
  type: 'xetkit-awake';
}

export const AWAKE: AwakeMessage = { type: 'xetkit-awake' };

export function isAwakeMessage(data: unknown): data is AwakeMessage {
  return typeOf(data) === AWAKE.type;
}

function isProgressMessage(data: unknown): data is XetProgressMessage {
  return typeOf(data) === 'xetkit-progress';
}

function typeOf(data: unknown): unknown {
  return typeof data === 'object' && data !== null && 'type' in data ? data.type : undefined;
}

/** Options of `onXetProgress`. */
export interface ListenOptions {
  /** Target of the messages. Default: `navigator.serviceWorker`. */
  container?: EventTarget;
}

/**
 * Listens, in a page, to the progress of downloads that its service worker makes for it, and answers the worker's pings.
 * Browsers other than Chromium stop a service worker after a minute without a message from a page; without a page that
 * calls this, large files bypass Xet there. Returns a function that stops listening.
 *
 * @throws {XetError} `UNSUPPORTED` in a page without service workers, `INVALID_ARGUMENT`
 */
export function onXetProgress(
  listener: (progress: XetProgressMessage) => void = () => undefined,
  options: ListenOptions = {},
): () => void {
  if (typeof listener !== 'function') throw new XetError('INVALID_ARGUMENT', 'onXetProgress takes a function.');
  const { container = serviceWorkers() } = checked('onXetProgress', options, ON_PROGRESS);
  const onMessage = (event: Event) => {
    const { data, source } = event as MessageEvent<unknown> & {
      source: { postMessage(message: unknown): void } | null;
    };
    if (isAwakeMessage(data)) source?.postMessage(AWAKE);
    else if (isProgressMessage(data)) listener(data);
  };
  container.addEventListener('message', onMessage);
  // Listeners added with addEventListener receive nothing before this call.
  if ('startMessages' in container && typeof container.startMessages === 'function') container.startMessages();
  return () => container.removeEventListener('message', onMessage);
}

function serviceWorkers(): EventTarget {
  const found = (globalThis.navigator as Navigator | undefined)?.serviceWorker;
  if (found) return found;
  throw new XetError(
    'UNSUPPORTED',
    'There are no service workers here: browsers have them in pages from https:// addresses and from localhost.',
  );
}
