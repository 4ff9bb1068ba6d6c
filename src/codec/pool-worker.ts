import { releaseProxy, transfer, wrap } from 'comlink';
import type { SpawnedWorker } from '../../workers/spawn.ts';
import { XetError } from '../core/errors.ts';
import { Liveness, WORKER_TIMEOUT, type WorkerTimeout } from '../workers/liveness.ts';
import type { Codec } from './codec.ts';
import type { CodecWorker, TaskOutcome } from './worker-api.ts';

/** An operation with its input, sent to a worker or waiting for one. */
export interface Task {
  name: string;
  input: Uint8Array;
  rest: readonly unknown[];
  /** Runs the operation on the calling thread. */
  runHere: (codec: Codec) => unknown;
  /** Number of workers that its input has crashed. */
  traps: number;
  /** True once its promise is settled, also by an abort. */
  settled: boolean;
  onSpent: ((buffer: ArrayBufferLike) => void) | undefined;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** Unfinished tasks of a dead worker. */
export interface UnfinishedTasks {
  /** Tasks whose input is still on this thread. */
  kept: Task[];
  /** Tasks whose input died with the worker. */
  gone: Task[];
}

interface PoolWorkerEvents {
  started: () => void;
  free: () => void;
  lost: (worker: PoolWorker, reason: Error, tasks: UnfinishedTasks) => void;
}

/** One worker and its tasks. Nothing is sent before the worker has loaded the module. */
export class PoolWorker {
  readonly #spawned: SpawnedWorker;
  readonly #remote;
  readonly #events: PoolWorkerEvents;
  readonly #sent = new Set<Task>();
  readonly #unsent: Task[] = [];
  started = false;
  #dead = false;
  /** Tasks handed back after a trap. The worker is ended once all that it was sent are back. */
  readonly #returned: Task[] = [];
  #trap: Error | undefined;
  readonly #liveness: Liveness;

  constructor(spawned: SpawnedWorker, timeout: WorkerTimeout | undefined, events: PoolWorkerEvents) {
    this.#spawned = spawned;
    this.#events = events;
    this.#liveness = new Liveness((reason) => this.#die(reason), timeout ?? WORKER_TIMEOUT);
    this.#remote = wrap<CodecWorker>(spawned.endpoint);
    spawned.onFailure((reason) => this.#die(reason));
    spawned.hold(true);
    this.#liveness.watch(this.#remote.ready()).then(
      () => {
        if (this.#dead) return;
        this.started = true;
        this.#events.started();
        for (const task of this.#unsent.splice(0)) this.#send(task);
        this.#holdWhileBusy();
      },
      (error: unknown) => this.#die(asError(error)),
    );
  }

  get load(): number {
    if (this.#trap) return Number.POSITIVE_INFINITY;
    return this.#sent.size + this.#unsent.length;
  }

  take(task: Task): void {
    if (this.started) this.#send(task);
    else this.#unsent.push(task);
    this.#holdWhileBusy();
  }

  end(error: unknown): void {
    this.#dead = true;
    this.#liveness.stop();
    this.#spawned.terminate();
    for (const task of [...this.#returned, ...this.#sent, ...this.#unsent]) task.reject(error);
  }

  #send(task: Task): void {
    this.#sent.add(task);
    const { name, input, rest } = task;
    this.#liveness
      .watch<TaskOutcome<unknown>>(
        this.#remote.run(name, transfer(input, [input.buffer]), rest) as Promise<TaskOutcome<unknown>>,
      )
      .then((outcome) => this.#settle(task, outcome))
      .catch((error: unknown) => this.#die(asError(error)));
  }

  #settle(task: Task, outcome: TaskOutcome<unknown>): void {
    if (this.#dead) return;
    this.#sent.delete(task);
    if ('trap' in outcome) {
      task.input = outcome.input;
      if (outcome.guilty) task.traps++;
      this.#returned.push(task);
      this.#trap ??= new Error(outcome.trap);
      if (this.#sent.size === 0) this.#die(this.#trap);
      return;
    }
    if ('error' in outcome) {
      const { code, message, retryable } = outcome.error;
      task.reject(new XetError(code, message, { retryable }));
    } else {
      if (outcome.spent) task.onSpent?.(outcome.spent.buffer);
      task.resolve(outcome.value);
    }
    this.#holdWhileBusy();
    this.#events.free();
  }

  #die(reason: Error): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#liveness.stop();
    this.#remote[releaseProxy]();
    this.#spawned.terminate();
    this.#events.lost(this, reason, { kept: [...this.#returned, ...this.#unsent.splice(0)], gone: [...this.#sent] });
  }

  #holdWhileBusy(): void {
    if (!this.#dead) this.#spawned.hold(!this.started || this.load > 0);
  }
}

/** The error of a task whose worker crashed. */
export function crashed(reason: Error): XetError {
  return new XetError('CODEC_CRASHED', `The codec crashed (${reason.message}).`, { retryable: true, cause: reason });
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
