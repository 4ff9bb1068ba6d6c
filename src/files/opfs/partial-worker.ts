import { type Endpoint, expose, transfer } from 'comlink';
import type { SpawnedWorker, SpawnWorker } from '../../../workers/spawn.ts';
import type { ChunkRecords } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { writesInPlace } from '../../fs/in-place.ts';
import { nameOf } from '../../fs/opfs.ts';
import { type StorageFailure, WorkerStorageError } from '../../fs/storage-error.ts';
import { exposeService, WorkerClient } from '../../workers/rpc.ts';
import type { Left } from '../journal.ts';
import { PartialData, type PartialSpec, type PartialStore } from './partial-data.ts';

/** Failures are data: the class and the name of an error do not survive the way. */
type Result<T> = { value: T } | { error: StorageFailure };

/** Worker calls for one file. */
interface PartialWorker {
  /** True if the worker can write files in place. */
  ready(): boolean;
  open(spec: PartialSpec): Promise<Result<Left>>;
  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<Result<void>>;
  read(range: ByteRange): Promise<Result<Uint8Array>>;
  restart(): Promise<Result<void>>;
  finish(): Promise<Result<void>>;
  close(): Promise<Result<void>>;
}

const SERVICE = 'xetkit-partial-file';

/** Lets a worker write files. */
export function servePartialFiles(scope: Pick<Endpoint, 'addEventListener'>): void {
  exposeService(scope, SERVICE, serve);
}

function serve(port: MessagePort): void {
  let opened: PartialData | undefined;
  const store = () => opened ?? Promise.reject(new DOMException('No file is open', 'InvalidStateError'));
  const worker: PartialWorker = {
    ready: writesInPlace,
    open: (spec) =>
      capture(async () => {
        const { store: found, left } = await PartialData.open(spec);
        opened = found;
        return left;
      }),
    write: (at, bytes, chunks) => capture(async () => (await store()).write(at, bytes, chunks)),
    read: async (range) => {
      const found = await capture(async () => (await store()).read(range));
      return 'value' in found ? transfer(found, [found.value.buffer]) : found;
    },
    restart: () => capture(async () => (await store()).restart()),
    finish: () => capture(async () => (await store()).finish()),
    close: () => capture(async () => opened?.close()),
  };
  expose(worker, port);
}

async function capture<T>(work: () => Promise<T>): Promise<Result<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: { name: nameOf(error), message: error instanceof Error ? error.message : String(error) } };
  }
}

/** A file that a worker of its own writes: what writes to a disk waits for it, and decoding should not. */
export class RemotePartial implements PartialStore {
  readonly #client: WorkerClient<PartialWorker>;

  private constructor(spawned: SpawnedWorker) {
    this.#client = new WorkerClient(spawned, SERVICE, (reason) =>
      this.#client.end(gone(`The worker that writes files was lost (${reason.message}).`)),
    );
  }

  /** Starts a worker; undefined where none can be started, or cannot write in place. */
  static async start(spawn: SpawnWorker): Promise<RemotePartial | undefined> {
    let partial: RemotePartial | undefined;
    try {
      const started = new RemotePartial(spawn());
      partial = started;
      if (await started.#client.call(() => started.#client.remote.ready())) return started;
    } catch {
      // As where a page allows no workers.
    }
    partial?.end();
    return undefined;
  }

  open(spec: PartialSpec): Promise<Left> {
    return this.#result(() => this.#client.remote.open(spec));
  }

  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    // Others may have the same memory, so a copy is moved; a view would be cloned with all that it is a view of.
    const copy = bytes.slice();
    return this.#result(() => this.#client.remote.write(at, transfer(copy, [copy.buffer]), chunks.slice()));
  }

  read(range: ByteRange): Promise<Uint8Array> {
    return this.#result(() => this.#client.remote.read(range));
  }

  restart(): Promise<void> {
    return this.#result(() => this.#client.remote.restart());
  }

  finish(): Promise<void> {
    return this.#result(() => this.#client.remote.finish());
  }

  async close(): Promise<void> {
    try {
      await this.#result(() => this.#client.remote.close());
    } finally {
      this.end();
    }
  }

  /** Ends the worker, whatever it is doing; the browser lets go of the file. */
  end(): void {
    this.#client.end(gone('The file was closed.'));
  }

  async #result<T>(call: () => Promise<Result<T>>): Promise<T> {
    const found = await this.#client.call(call);
    if ('value' in found) return found.value;
    throw new WorkerStorageError(found.error);
  }
}

const gone = (message: string) => new XetError('CACHE', message, { retryable: true });
