import { releaseProxy, transfer, wrap } from 'comlink';
import type { SpawnedWorker, SpawnWorker } from '../../workers/spawn.ts';
import type { ChunkRecords } from '../core/chunks.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { Liveness, WORKER_START_TIMEOUT, WORKER_TIMEOUT, type WorkerTimeout } from '../workers/liveness.ts';
import type { Codec, DecodedRun } from './codec.ts';
import {
  type OperationArguments,
  type OperationName,
  type OperationResult,
  type OperationTable,
  operate,
} from './operations.ts';
import type { CodecWorker, TaskOutcome } from './worker-api.ts';

export interface PoolOptions {
  /** Absent where there are no workers. */
  spawn?: SpawnWorker | undefined;
  /** Workers at most; 0 does everything on the calling thread. */
  size: number;
  /** The codec of the calling thread, for work that is not worth a message and for places without workers, if there is one. */
  load?: (() => Promise<Codec>) | undefined;
  onWarning?: ((message: string) => void) | undefined;
  /** Time within which a worker must answer. */
  timeout?: WorkerTimeout | undefined;
  /** Input up to this long is done on the calling thread while no worker has been started, in bytes. */
  smallBytes?: number | undefined;
}

/** One piece of work, sent to a worker or waiting for one. */
interface Task {
  input: Uint8Array;
  name: OperationName;
  rest: readonly unknown[];
  /** Where the operation is found if it is done on this thread and is no method of the codec. */
  table: OperationTable;
  /** How often it has already brought a worker down. */
  traps: number;
  /** Whether its caller has had an answer, such as an abort. */
  settled: boolean;
  onSpent: ((buffer: ArrayBufferLike) => void) | undefined;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** Kept busy with one task while the next is on its way. */
const TASKS_PER_WORKER = 2;
/** Below this, decoding takes less time than a message. */
const SMALL_BYTES = 96 * 1024;
/** From here on a worker is sure to be used; what is less may be done on the calling thread. */
const WORTH_A_START_BYTES = 1024 * 1024;
/** Workers that die one after the other will not be mended by more of them. */
const MAX_FAILED_STARTS = 2;
/** An input that brings down a second worker is not tried on a third. */
const MAX_TRAPS = 2;

/**
 * Runs the codec on workers, and supplies what Comlink leaves out: typed errors, abort, an end for calls
 * whose worker died, and no more messages under way than workers can take.
 *
 * A trap costs the worker and one more try on another one.
 */
export class CodecPool {
  readonly #options: PoolOptions;
  readonly #workers = new Set<PoolWorker>();
  readonly #queue: Task[] = [];
  readonly #bySignal = new WeakMap<AbortSignal, Set<Task>>();
  #failedStarts = 0;
  #closed = false;
  #startFailure: unknown;
  /** Tasks handed to workers, to the calling thread, and workers lost, since the pool was made. */
  readonly counts = { sent: 0, here: 0, lost: 0 };

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * Decodes a run of frames. The frames are moved: the caller's view is empty afterwards, and their buffer is
   * given to `onSpent` when it is done with.
   */
  decodeRun(
    frames: Uint8Array,
    signal?: AbortSignal,
    onSpent?: (buffer: ArrayBufferLike) => void,
  ): Promise<DecodedRun> {
    return this.run('decodeRun', frames, [], signal, onSpent);
  }

  /** The same, with the decoded bytes in the frames' memory where there is room for them. */
  decodeRunInPlace(frames: Uint8Array, signal?: AbortSignal): Promise<DecodedRun> {
    return this.run('decodeRunInPlace', frames, [], signal);
  }

  /** The file hash of a list of chunks, whose records are moved. */
  fileHash(chunks: ChunkRecords, signal?: AbortSignal): Promise<Uint8Array> {
    return this.run('fileHash', chunks, [], signal);
  }

  /** Starts a worker for input of so many bytes that is still to come, where that is worth one and none is there. */
  expect(inputBytes: number): void {
    if (inputBytes < WORTH_A_START_BYTES || this.#closed || this.#workers.size > 0 || !this.#canSpawn()) return;
    this.#start();
  }

  /** Ends the workers; work that is still under way rejects with `CLOSED`. */
  close(): void {
    this.#closed = true;
    const error = new XetError('CLOSED', 'The client was closed while work was under way.');
    for (const worker of this.#workers) worker.end(error);
    this.#workers.clear();
    for (const task of this.#queue.splice(0)) task.reject(error);
  }

  /** Any operation; its data is moved. `table` has it for the case that there are no workers, unless it is a method of the codec. */
  async run<N extends OperationName>(
    name: N,
    input: Uint8Array,
    rest: OperationArguments<N>,
    signal?: AbortSignal,
    onSpent?: (buffer: ArrayBufferLike) => void,
    table: OperationTable = {},
  ): Promise<OperationResult<N>> {
    signal?.throwIfAborted();
    if (this.#closed) throw new XetError('CLOSED', 'The client is closed.');
    const { smallBytes = SMALL_BYTES } = this.#options;
    const small = this.#options.load !== undefined && input.length <= smallBytes && this.#workers.size === 0;
    const noWorkers = this.#workers.size === 0 && !this.#canSpawn();
    if (small || noWorkers) return (await this.#here(table, name, input, rest, onSpent)) as OperationResult<N>;
    return (await new Promise<unknown>((resolve, reject) => {
      const task: Task = { name, input, rest, table, traps: 0, settled: false, resolve, reject, onSpent };
      if (signal) this.#abortWith(signal, task);
      this.#queue.push(task);
      this.#dispatch();
    })) as OperationResult<N>;
  }

  /** One listener for all tasks of a signal: a download may have many of them under way. */
  #abortWith(signal: AbortSignal, task: Task): void {
    let tasks = this.#bySignal.get(signal);
    if (!tasks) {
      const listening = new Set<Task>();
      tasks = listening;
      this.#bySignal.set(signal, tasks);
      const onAbort = () => {
        for (const one of listening) {
          const waiting = this.#queue.indexOf(one);
          if (waiting >= 0) this.#queue.splice(waiting, 1);
          one.reject(signal.reason);
        }
        listening.clear();
      };
      signal.addEventListener('abort', onAbort, { once: true });
    }
    const { resolve, reject } = task;
    const leave = () => {
      task.settled = true;
      tasks.delete(task);
    };
    tasks.add(task);
    task.resolve = (value) => {
      leave();
      resolve(value);
    };
    task.reject = (error) => {
      leave();
      reject(error);
    };
  }

  async #here(
    table: OperationTable,
    name: OperationName,
    input: Uint8Array,
    rest: readonly unknown[],
    onSpent: ((buffer: ArrayBufferLike) => void) | undefined,
  ): Promise<unknown> {
    const { load } = this.#options;
    if (!load) throw noCodec(this.#startFailure);
    this.counts.here++;
    const codec = await load();
    try {
      const value = operate(codec, name, input, rest, table);
      onSpent?.(input.buffer);
      return value;
    } catch (error) {
      throw isXetError(error) ? error : crashed(asError(error));
    }
  }

  #canSpawn(): boolean {
    return this.#options.spawn !== undefined && this.#options.size > 0 && this.#failedStarts < MAX_FAILED_STARTS;
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#leastBusy();
      if (!worker) break;
      const task = this.#queue.shift();
      if (task) {
        this.counts.sent++;
        worker.take(task);
      }
    }
    // Nobody is left to take what waits, and nobody will come.
    if (this.#queue.length === 0 || this.#workers.size > 0 || this.#canSpawn()) return;
    this.#warnNoWorkers();
    for (const task of this.#queue.splice(0)) this.#finishHere(task);
  }

  /** A worker with room, started if all others are busy and one more is allowed. */
  #leastBusy(): PoolWorker | undefined {
    let best: PoolWorker | undefined;
    for (const worker of this.#workers) if (!best || worker.load < best.load) best = worker;
    if (best?.load === 0) return best;
    while (this.#workers.size < this.#options.size && this.#canSpawn()) {
      const started = this.#start();
      if (started) return started;
    }
    return best && best.load < TASKS_PER_WORKER ? best : undefined;
  }

  #start(): PoolWorker | undefined {
    try {
      const spawned = this.#options.spawn?.();
      if (!spawned) return undefined;
      const worker = new PoolWorker(spawned, this.#options.timeout, {
        started: () => {
          this.#failedStarts = 0;
        },
        free: () => this.#dispatch(),
        lost: (dead, reason, tasks) => this.#lost(dead, reason, tasks),
      });
      this.#workers.add(worker);
      return worker;
    } catch (error) {
      this.#startFailed(error);
      return undefined;
    }
  }

  #startFailed(reason: unknown): void {
    this.#failedStarts++;
    this.#startFailure = reason;
  }

  /** Told once: everything is slower from here on. */
  #warnNoWorkers(): void {
    if (this.#startFailure === undefined || !this.#options.load) return;
    this.#options.onWarning?.(
      `Codec workers cannot be started here (${String(this.#startFailure)}); decoding on the calling thread.`,
    );
    this.#startFailure = undefined;
  }

  #finishHere(task: Task): void {
    this.#here(task.table, task.name, task.input, task.rest, task.onSpent).then(task.resolve, task.reject);
  }

  /** A worker died. What it never got is still here; what it had is gone with it. */
  #lost(dead: PoolWorker, reason: Error, tasks: Leftovers): void {
    this.#workers.delete(dead);
    if (this.#closed) return;
    this.counts.lost++;
    // They were not done there, and are handed out anew.
    this.counts.sent -= tasks.kept.length;
    for (const task of tasks.gone) task.reject(crashed(reason));
    for (const task of tasks.kept) if (task.traps >= MAX_TRAPS) task.reject(crashed(reason));
    this.#queue.unshift(...tasks.kept.filter((task) => !task.settled && task.traps < MAX_TRAPS));
    if (!dead.started) this.#startFailed(reason);
    this.#dispatch();
  }
}

/** What a dead worker leaves: tasks whose input is still here, and tasks whose input went down with it. */
interface Leftovers {
  kept: Task[];
  gone: Task[];
}

interface PoolWorkerEvents {
  started: () => void;
  free: () => void;
  lost: (worker: PoolWorker, reason: Error, tasks: Leftovers) => void;
}

/** One worker and the tasks it holds. Sends nothing before the worker has loaded the module. */
class PoolWorker {
  readonly #spawned: SpawnedWorker;
  readonly #remote;
  readonly #events: PoolWorkerEvents;
  readonly #sent = new Set<Task>();
  readonly #unsent: Task[] = [];
  started = false;
  #dead = false;
  /** Tasks that came back from a trap; the worker ends when all it was sent are back. */
  readonly #returned: Task[] = [];
  #trap: Error | undefined;
  readonly #liveness: Liveness;

  constructor(spawned: SpawnedWorker, timeout: WorkerTimeout | undefined, events: PoolWorkerEvents) {
    this.#spawned = spawned;
    this.#events = events;
    this.#liveness = new Liveness((reason) => this.#die(reason), timeout ?? WORKER_START_TIMEOUT);
    this.#remote = wrap<CodecWorker>(spawned.endpoint);
    spawned.onFailure((reason) => this.#die(reason));
    spawned.hold(true);
    this.#liveness.watch(this.#remote.ready()).then(
      () => {
        if (this.#dead) return;
        this.started = true;
        this.#liveness.timeout = timeout ?? WORKER_TIMEOUT;
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
      .then((answer) => this.#settle(task, answer))
      .catch((error: unknown) => this.#die(asError(error)));
  }

  #settle(task: Task, answer: TaskOutcome<unknown>): void {
    if (this.#dead) return;
    this.#sent.delete(task);
    if ('trap' in answer) {
      task.input = answer.input;
      if (answer.guilty) task.traps++;
      this.#returned.push(task);
      this.#trap ??= new Error(answer.trap);
      if (this.#sent.size === 0) this.#die(this.#trap);
      return;
    }
    if ('error' in answer) {
      const { code, message, retryable } = answer.error;
      task.reject(new XetError(code, message, { retryable }));
    } else {
      if (answer.spent) task.onSpent?.(answer.spent.buffer);
      task.resolve(answer.value);
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

function noCodec(startFailure: unknown): XetError {
  const reason = startFailure === undefined ? '' : ` (${String(startFailure)})`;
  return new XetError(
    'UNSUPPORTED',
    `Codec workers cannot be started here${reason}, and no codec was handed in for this thread: see threadCodec.`,
  );
}

function crashed(reason: Error): XetError {
  return new XetError('CODEC_CRASHED', `The codec crashed (${reason.message}).`, { retryable: true, cause: reason });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
