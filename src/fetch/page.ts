import { AWAKE, isAwakeMessage, isProgressMessage, type XetProgressMessage } from './worker-messages.ts';

interface Speaker {
  postMessage(message: unknown): void;
}

/** Where to listen. */
export interface ListenOptions {
  /** Where messages come in. Default: `navigator.serviceWorker`. */
  container?: EventTarget;
}

/**
 * Hears, in a page, of the downloads that its service worker does for it, and answers when that asks whether it
 * is still needed: browsers other than Chromium stop one after a minute in which no page has spoken to it. Without
 * a page that does so, large files go past Xet there. Gives what ends it.
 */
export function onXetProgress(
  listener: (progress: XetProgressMessage) => void = () => undefined,
  { container = navigator.serviceWorker }: ListenOptions = {},
): () => void {
  const onMessage = (event: Event) => {
    const { data, source } = event as MessageEvent<unknown> & { source: Speaker | null };
    if (isAwakeMessage(data)) source?.postMessage(AWAKE);
    else if (isProgressMessage(data)) listener(data);
  };
  container.addEventListener('message', onMessage);
  // Where listeners are added by name, messages wait for this.
  if ('startMessages' in container && typeof container.startMessages === 'function') container.startMessages();
  return () => container.removeEventListener('message', onMessage);
}
