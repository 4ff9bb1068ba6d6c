import { type Endpoint, type Remote, wrap } from 'comlink';
import type { SpawnedWorker } from '../../workers/spawn.ts';
import { Liveness, WORKER_TIMEOUT } from './liveness.ts';

/** Name of the port that answers pings. */
const ECHO = 'xetkit-echo';

/**
 * A dedicated worker, and calls to a service in it. The worker runs the codec worker's script: a second script would be
 * one more file for everyone who bundles, serves or allow-lists the scripts of this package.
 */
export class WorkerClient<T> {
  readonly remote: Remote<T>;
  readonly #liveness: Liveness;
  readonly #end: () => void;
  /** Rejects the calls under way: a lost worker never answers them. */
  readonly #waiting = new Set<(reason: unknown) => void>();
  #ended: { reason: unknown } | undefined;

  /**
   * @param service name of the service in the worker
   * @param onFailure called when the worker is lost; it must call {@link end}
   */
  constructor(spawned: SpawnedWorker, service: string, onFailure: (reason: Error) => void, timeout = WORKER_TIMEOUT) {
    const { port1, port2 } = new MessageChannel();
    const echo = new MessageChannel();
    this.remote = wrap<T>(port1);
    this.#liveness = new Liveness(onFailure, timeout, () => echo.port1.postMessage(undefined));
    echo.port1.onmessage = () => this.#liveness.beat();
    this.#end = () => {
      this.#liveness.stop();
      port1.close();
      echo.port1.close();
      spawned.terminate();
    };
    spawned.onFailure(onFailure);
    spawned.endpoint.postMessage({ [service]: port2, [ECHO]: echo.port2 }, [port2, echo.port2]);
  }

  /** Calls the service. Rejects when the worker ends or stops answering pings. */
  call<R>(call: () => Promise<R>): Promise<R> {
    return this.callUntimed(() => this.#liveness.watch(call()));
  }

  /** Calls the service, and waits for as long as the worker lives. */
  callUntimed<R>(call: () => Promise<R>): Promise<R> {
    if (this.#ended) return Promise.reject(this.#ended.reason);
    return new Promise<R>((resolve, reject) => {
      this.#waiting.add(reject);
      call()
        .then(resolve, reject)
        .finally(() => this.#waiting.delete(reject));
    });
  }

  /** Terminates the worker at once. Current and later calls reject with the reason. */
  end(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = { reason };
    this.#end();
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
  }
}

/** Serves a service on each port that is posted to this scope under its name. */
export function exposeService(
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
