import type { SpawnedWorker } from '../../../workers/spawn.ts';
import { XetError } from '../../core/errors.ts';
import { Liveness, WORKER_TIMEOUT, type WorkerTimeout } from '../../workers/liveness.ts';
import type { JobContext } from '../fetch-runs.ts';
import type { Stage } from '../stages.ts';
import type { TransferCommand, TransferFailure, TransferNews, TransferOrder, TransferSettings } from './messages.ts';
import { TransferJob } from './transfer-job.ts';
import { type TransferAccounts, type Transfers, WorkerLost } from './transfers.ts';

export interface TransferPoolOptions {
  spawn: () => SpawnedWorker;
  /** Maximum number of workers, 1 or more. */
  size: number;
  settings: TransferSettings;
  /** False while requests must be made on the calling thread, as with a dispatcher that the program has set. */
  isAllowed: () => boolean;
  onWarning: (message: string) => void;
  timeout?: WorkerTimeout | undefined;
  /** Called with each message that comes from a worker. */
  onMessage?: ((news: TransferNews) => void) | undefined;
}

/** After so many lost workers all is done on the calling thread. */
const MAX_LOST = 2;

interface Job {
  news: (news: TransferNews) => void;
  resolve: (ended: TransferFailure | undefined) => void;
  reject: (error: unknown) => void;
}

interface TransferWorker {
  spawned: SpawnedWorker;
  jobs: Map<number, Job>;
  liveness: Liveness;
}

/** Workers that download: each has connections, a codec and descriptors of its own. Started as jobs call for them. */
export class TransferPool implements Transfers {
  readonly #options: TransferPoolOptions;
  readonly #workers = new Set<TransferWorker>();
  #nextId = 0;
  #lost = 0;
  #closed = false;

  constructor(options: TransferPoolOptions) {
    this.#options = options;
  }

  /** Number of workers that were lost. */
  get lost(): number {
    return this.#lost;
  }

  /** Workers that have been started and live. */
  get workers(): number {
    return this.#workers.size;
  }

  /** True if jobs may be given to workers now. */
  get isAvailable(): boolean {
    return !this.#closed && this.#lost < MAX_LOST && this.#options.isAllowed();
  }

  job(stage: Stage, index: number, context: JobContext, accounts: TransferAccounts): TransferJob {
    return new TransferJob(stage, index, context, accounts, this);
  }

  /**
   * Runs a job in a worker and returns when the worker is done with it, also when it was stopped: until then it may write.
   * @throws {WorkerLost} if the worker ended; nothing of it is on its way then
   */
  async run(
    order: Omit<TransferOrder, 'id' | 'settings'>,
    signal: AbortSignal,
    news: (news: TransferNews, answer: (command: TransferCommand) => void) => void,
  ): Promise<TransferFailure | undefined> {
    signal.throwIfAborted();
    const worker = this.#leastBusy();
    const id = this.#nextId++;
    const post = (command: TransferCommand) => worker.spawned.endpoint.postMessage(command);
    const onAbort = () => post({ stop: id });
    const ended = new Promise<TransferFailure | undefined>((resolve, reject) => {
      worker.jobs.set(id, { news: (one) => news(one, post), resolve, reject });
    });
    worker.spawned.hold(true);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      post({ order: { ...order, id, settings: this.#options.settings } });
      const failure = await worker.liveness.watch(ended);
      // A codec that has crashed once is of no use, and the worker has no other.
      if (failure && 'code' in failure && failure.code === 'CODEC_CRASHED') {
        this.#lose(worker);
        throw new WorkerLost(failure.message);
      }
      return failure;
    } finally {
      signal.removeEventListener('abort', onAbort);
      worker.jobs.delete(id);
      if (worker.jobs.size === 0) worker.spawned.hold(false);
    }
  }

  /** Ends the workers. Jobs under way reject with `CLOSED`. */
  close(): void {
    this.#closed = true;
    for (const worker of this.#workers) {
      this.#end(worker, new XetError('CLOSED', 'The client was closed while work was under way.'));
    }
  }

  #leastBusy(): TransferWorker {
    const [best] = [...this.#workers].sort((a, b) => a.jobs.size - b.jobs.size);
    if (best && (best.jobs.size === 0 || this.#workers.size >= this.#options.size)) return best;
    return this.#start();
  }

  #start(): TransferWorker {
    let spawned: SpawnedWorker;
    try {
      spawned = this.#options.spawn();
    } catch (error) {
      this.#lost = MAX_LOST;
      this.#warn(error);
      throw new WorkerLost(String(error));
    }
    const ping = () => spawned.endpoint.postMessage({ ping: true });
    const worker: TransferWorker = {
      spawned,
      jobs: new Map(),
      liveness: new Liveness(() => this.#lose(worker), this.#options.timeout ?? WORKER_TIMEOUT, ping),
    };
    spawned.onFailure(() => this.#lose(worker));
    spawned.endpoint.addEventListener('message', (event: Event) => {
      const { data } = event as MessageEvent<TransferNews>;
      worker.liveness.beat();
      this.#options.onMessage?.(data);
      if ('pong' in data) return;
      const job = worker.jobs.get(data.id);
      if ('ended' in data) job?.resolve(data.ended);
      else job?.news(data);
    });
    spawned.endpoint.start?.();
    this.#workers.add(worker);
    return worker;
  }

  #lose(worker: TransferWorker): void {
    if (!this.#workers.has(worker)) return;
    this.#lost++;
    if (this.#lost === MAX_LOST) this.#warn('they end unexpectedly');
    this.#end(worker, new WorkerLost('The transfer worker ended.'));
  }

  #warn(reason: unknown): void {
    this.#options.onWarning(
      `Transfer workers cannot be used (${String(reason)}). Downloads run on the calling thread, which is slower.`,
    );
  }

  #end(worker: TransferWorker, reason: unknown): void {
    this.#workers.delete(worker);
    worker.liveness.stop();
    // Whoever waits lets go of the file then: no write may be under way.
    worker.spawned.hold(true);
    void Promise.resolve(worker.spawned.terminate()).then(() => {
      for (const { reject } of worker.jobs.values()) reject(reason);
    });
  }
}
