import { type Endpoint, type Remote, wrap } from 'comlink';
import type { SpawnedWorker } from '../../workers/spawn.ts';
import { Liveness, START_PATIENCE } from './liveness.ts';

/** The name of the port that gives signs of life. */
const ECHO = 'xetkit-echo';

/**
 * A worker of one's own and the port to what it serves there. The worker is a codec worker as any other: one more script would
 * be one more file for everybody who bundles, serves and allows the scripts of this package.
 */
export class WorkerCalls<T> {
  readonly remote: Remote<T>;
  readonly #liveness: Liveness;
  readonly #end: () => void;
  /** Those who wait for an answer: a worker that is lost gives none. */
  readonly #waiting = new Set<(reason: unknown) => void>();
  #ended: { reason: unknown } | undefined;

  /**
   * @param service which of the services of the worker is meant
   * @param onFailure told when the worker is lost; it is to call `end`
   */
  constructor(spawned: SpawnedWorker, service: string, onFailure: (reason: Error) => void, patience = START_PATIENCE) {
    const { port1, port2 } = new MessageChannel();
    const echo = new MessageChannel();
    this.remote = wrap<T>(port1);
    this.#liveness = new Liveness(onFailure, patience, () => echo.port1.postMessage(undefined));
    echo.port1.onmessage = () => this.#liveness.heard();
    this.#end = () => {
      this.#liveness.stop();
      port1.close();
      echo.port1.close();
      spawned.terminate();
    };
    spawned.onFailure(onFailure);
    spawned.endpoint.postMessage({ [service]: port2, [ECHO]: echo.port2 }, [port2, echo.port2]);
  }

  /** The answer to a call, unless the worker is ended before, or gives no sign of life. */
  answered<R>(call: () => Promise<R>): Promise<R> {
    return this.eventually(() => this.#liveness.owe(call()));
  }

  /** The same where the answer may well come never. */
  eventually<R>(call: () => Promise<R>): Promise<R> {
    if (this.#ended) return Promise.reject(this.#ended.reason);
    return new Promise<R>((resolve, reject) => {
      this.#waiting.add(reject);
      call()
        .then(resolve, reject)
        .finally(() => this.#waiting.delete(reject));
    });
  }

  /** Ends the worker, whatever it is doing; those who wait, and all who ask from now on, are told the reason. */
  end(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = { reason };
    this.#end();
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
  }
}

/** Serves whoever sends this scope a port by the name of a service. */
export function serveOn(
  scope: Pick<Endpoint, 'addEventListener'>,
  service: string,
  serve: (port: MessagePort) => void,
): void {
  scope.addEventListener('message', (event) => {
    const { data } = event as MessageEvent<unknown>;
    if (typeof data === 'object' && data !== null && service in data) {
      const ports = data as Record<string, MessagePort | undefined>;
      const echo = ports[ECHO];
      if (echo) echo.onmessage = () => echo.postMessage(undefined);
      serve(ports[service] as MessagePort);
    }
  });
}
