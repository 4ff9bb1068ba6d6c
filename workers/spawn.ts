import type { Endpoint } from 'comlink';

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
