/** What messages go through, as Comlink takes it. Its own type would be asked for where the package is used. */
export interface Endpoint {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: object): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: object): void;
  start?: () => void;
}

/** A worker that is starting or running, whatever the platform. */
export interface SpawnedWorker {
  endpoint: Endpoint;
  /** Called once when the worker cannot go on: it failed to start, crashed or ended. */
  onFailure(listener: (reason: Error) => void): void;
  /** Whether the worker keeps the process alive; where that is a thing. */
  hold(alive: boolean): void;
  terminate(): void;
}

export type SpawnWorker = () => SpawnedWorker;
