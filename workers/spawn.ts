/** A message endpoint as Comlink expects it. Comlink's own type would make it a dependency of our type declarations. */
export interface Endpoint {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: object): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: object): void;
  start?: () => void;
}

/** A starting or running worker, on any platform. */
export interface SpawnedWorker {
  endpoint: Endpoint;
  /** Calls the listener when the worker fails to start, crashes or ends. */
  onFailure(listener: (reason: Error) => void): void;
  /** Sets whether the worker keeps the process alive. No effect in browsers. */
  hold(alive: boolean): void;
  /** Ends the worker. In Node it resolves when no code of it runs any more. */
  terminate(): unknown;
}

export type SpawnWorker = () => SpawnedWorker;
