import type { SpawnWorker } from '../../workers/spawn.ts';
import type { ChunkRecords } from '../core/chunks.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { WorkerTimeout } from '../workers/liveness.ts';
import type { CheckedChunks, Codec, DecodedRun } from './codec.ts';
import { checkChunks, decodeRun, decodeRunInPlace, fileHash, type Operation } from './operations.ts';
import { asError, crashed, PoolWorker, type Task, type UnfinishedTasks } from './pool-worker.ts';

export interface PoolOptions {
  /** Starts a worker; undefined on platforms without workers. */
  spawn?: SpawnWorker | undefined;
  /** Maximum number of workers; 0 runs everything on the calling thread. */
  size: number;
  /** Loads the codec of the calling thread, for small inputs and for platforms without workers. */
  load?: (() => Promise<Codec>) | undefined;
  onWarning?: ((message: string) => void) | undefined;
  /** Time within which a worker must answer. Default: a minute. */
  timeout?: WorkerTimeout | undefined;
  /** Inputs up to this size, in bytes, run on the calling thread until a worker has been started. Default: 96 KiB. */
  smallBytes?: number | undefined;
}

/** One running task, and the next one in the message queue. */
const TASKS_PER_WORKER = 2;
/** Decoding less than this takes less time than a message. */
const SMALL_BYTES = 96 * 1024;
/** Transfers of this size are certain to use a worker; smaller ones may run on the calling thread. */
const WORTH_A_START_BYTES = 1024 * 1024;
/** After this many failed starts in a row, no more workers are started. */
const MAX_FAILED_STARTS = 2;
/** An input that crashes this many workers is given up. */
const MAX_TRAPS = 2;

/**
 * Runs the codec on workers. It adds what Comlink lacks: typed errors, aborts, rejection of calls whose worker died, and
 * a limit of two messages in flight per worker. After a trap the worker is replaced and the task retried once.
 */
export class CodecPool {
  readonly #options: PoolOptions;
  readonly #workers = new Set<PoolWorker>();
  readonly #queue: Task[] = [];
  readonly #bySignal = new WeakMap<AbortSignal, Set<Task>>();
  #failedStarts = 0;
  #closed = false;
  #startFailure: unknown;
  /** Tasks run on workers and on the calling thread, and workers lost, since the pool was created. */
  readonly counts = { sent: 0, here: 0, lost: 0 };

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Decodes a run of frames. The frames are transferred; their buffer is passed to `onSpent` when it can be reused. */
  decodeRun(
    frames: Uint8Array,
    signal?: AbortSignal,
    onSpent?: (buffer: ArrayBufferLike) => void,
  ): Promise<DecodedRun> {
    return this.run(decodeRun, frames, [], signal, onSpent);
  }

  /** Decodes a run of frames into the frames' own buffer, if the result fits. */
  decodeRunInPlace(frames: Uint8Array, signal?: AbortSignal): Promise<DecodedRun> {
    return this.run(decodeRunInPlace, frames, [], signal);
  }

  /** The file hash of a list of chunks. The records are transferred. */
  fileHash(chunks: ChunkRecords, signal?: AbortSignal): Promise<Uint8Array> {
    return this.run(fileHash, chunks, [], signal);
  }

  /** Counts the leading chunks that match their records. The bytes are transferred there and back. */
  checkChunks(bytes: Uint8Array, chunks: ChunkRecords, signal?: AbortSignal): Promise<CheckedChunks> {
    // A view would be cloned together with all of the memory behind it.
    return this.run(checkChunks, bytes, [chunks.slice()], signal);
  }

  /** Starts the first worker in advance if this many bytes of input are coming and make it worthwhile. */
  expect(inputBytes: number): void {
    if (inputBytes < WORTH_A_START_BYTES || this.#closed || this.#workers.size > 0 || !this.#canSpawn()) return;
    this.#start();
  }

  /** Ends the workers. Tasks under way reject with `CLOSED`. */
  close(): void {
    this.#closed = true;
    const error = new XetError('CLOSED', 'The client was closed while work was under way.');
    for (const worker of this.#workers) worker.end(error);
    this.#workers.clear();
    for (const task of this.#queue.splice(0)) task.reject(error);
  }

  /** Runs an operation. The input's memory is transferred. */
  async run<Rest extends readonly unknown[], Value>(
    operation: Operation<Rest, Value>,
    input: Uint8Array,
    rest: Rest,
    signal?: AbortSignal,
    onSpent?: (buffer: ArrayBufferLike) => void,
  ): Promise<Value> {
    signal?.throwIfAborted();
    if (this.#closed) throw new XetError('CLOSED', 'The client is closed.');
    const { smallBytes = SMALL_BYTES } = this.#options;
    const small = this.#options.load !== undefined && input.length <= smallBytes && this.#workers.size === 0;
    const noWorkers = this.#workers.size === 0 && !this.#canSpawn();
    return new Promise<Value>((resolve, reject) => {
      const task: Task = {
        name: operation.name,
        input,
        rest,
        runHere: (codec) => operation.run(codec, task.input, ...rest),
        traps: 0,
        settled: false,
        resolve: (value) => resolve(value as Value),
        reject,
        onSpent,
      };
      if (small || noWorkers) {
        this.#runHere(task);
        return;
      }
      if (signal) this.#abortWith(signal, task);
      this.#queue.push(task);
      this.#dispatch();
    });
  }

  /** Adds one listener for all tasks of a signal: a download may have many of them under way. */
  #abortWith(signal: AbortSignal, task: Task): void {
    let tasks = this.#bySignal.get(signal);
    if (!tasks) {
      const listening = new Set<Task>();
      tasks = listening;
      this.#bySignal.set(signal, tasks);
      const onAbort = () => {
        for (const aborted of listening) {
          const waiting = this.#queue.indexOf(aborted);
          if (waiting >= 0) this.#queue.splice(waiting, 1);
          aborted.reject(signal.reason);
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

  #runHere(task: Task): void {
    this.#onThisThread(task).then(task.resolve, task.reject);
  }

  async #onThisThread({ input, runHere, onSpent }: Task): Promise<unknown> {
    const { load } = this.#options;
    if (!load) throw noCodec(this.#startFailure);
    this.counts.here++;
    const codec = await load();
    try {
      const value = runHere(codec);
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
    // No worker is left, and none can be started.
    if (this.#queue.length === 0 || this.#workers.size > 0 || this.#canSpawn()) return;
    this.#warnNoWorkers();
    for (const task of this.#queue.splice(0)) this.#runHere(task);
  }

  /** A worker with room for a task; a new one if all others are busy and one more is allowed. */
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

  /** Warns once that everything will be slower. */
  #warnNoWorkers(): void {
    if (this.#startFailure === undefined || !this.#options.load) return;
    this.#options.onWarning?.(
      `Codec workers cannot be started (${String(this.#startFailure)}). Decoding runs on the calling thread, which is slower.`,
    );
    this.#startFailure = undefined;
  }

  /** Handles the death of a worker. Inputs that it had not received, or had handed back, are retried. */
  #lost(dead: PoolWorker, reason: Error, tasks: UnfinishedTasks): void {
    this.#workers.delete(dead);
    if (this.#closed) return;
    this.counts.lost++;
    // They are sent again.
    this.counts.sent -= tasks.kept.length;
    for (const task of tasks.gone) task.reject(crashed(reason));
    for (const task of tasks.kept) if (task.traps >= MAX_TRAPS) task.reject(crashed(reason));
    this.#queue.unshift(...tasks.kept.filter((task) => !task.settled && task.traps < MAX_TRAPS));
    if (!dead.started) this.#startFailed(reason);
    this.#dispatch();
  }
}

function noCodec(startFailure: unknown): XetError {
  const reason = startFailure === undefined ? '' : ` (${String(startFailure)})`;
  return new XetError(
    'UNSUPPORTED',
    `Codec workers cannot be started${reason}, and there is no codec for this thread. Pass codec: threadCodec to the client.`,
  );
}
