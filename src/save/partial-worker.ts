import { type Endpoint, expose, type Remote, transfer, wrap } from 'comlink';
import type { SpawnedWorker, SpawnWorker } from '../../workers/spawn.ts';
import type { ChunkRecords } from '../chunks.ts';
import { XetError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { nameOf } from './opfs.ts';
import { type Left, PartialData, type PartialSpec, type PartialStore } from './partial-data.ts';
import { type StorageFailure, WorkerStorageError } from './storage-error.ts';

/** Failures are data: the class and the name of an error do not survive the way. */
type Answer<T> = { value: T } | { error: StorageFailure };

/** What the worker does for one file. */
interface PartialWorker {
  /** Whether files can be written in place there. */
  ready(): boolean;
  open(spec: PartialSpec): Promise<Answer<Left>>;
  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<Answer<void>>;
  read(range: ByteRange): Promise<Answer<Uint8Array>>;
  restart(): Promise<Answer<void>>;
  finish(): Promise<Answer<void>>;
  close(): Promise<Answer<void>>;
}

/** The message that brings a worker the port for a file. */
const OPEN = 'xetkit-partial-file';

/** Whether files can be written in place on this thread: it takes a dedicated worker. */
export const writesInPlace = (): boolean =>
  typeof FileSystemFileHandle !== 'undefined' && 'createSyncAccessHandle' in FileSystemFileHandle.prototype;

/**
 * Lets a worker write files. It is a codec worker as any other: one more script would be one more file for everybody
 * who bundles, serves and allows the scripts of this package.
 */
export function servePartialFiles(scope: Pick<Endpoint, 'addEventListener'>): void {
  scope.addEventListener('message', (event) => {
    const { data } = event as MessageEvent<unknown>;
    if (typeof data === 'object' && data !== null && OPEN in data) serve(data[OPEN] as MessagePort);
  });
}

function serve(port: MessagePort): void {
  let opened: PartialData | undefined;
  const store = () => opened ?? Promise.reject(new DOMException('No file is open', 'InvalidStateError'));
  const worker: PartialWorker = {
    ready: writesInPlace,
    open: (spec) =>
      answer(async () => {
        const { store: found, left } = await PartialData.open(spec);
        opened = found;
        return left;
      }),
    write: (at, bytes, chunks) => answer(async () => (await store()).write(at, bytes, chunks)),
    read: async (range) => {
      const found = await answer(async () => (await store()).read(range));
      return 'value' in found ? transfer(found, [found.value.buffer]) : found;
    },
    restart: () => answer(async () => (await store()).restart()),
    finish: () => answer(async () => (await store()).finish()),
    close: () => answer(async () => opened?.close()),
  };
  expose(worker, port);
}

async function answer<T>(work: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: { name: nameOf(error), message: error instanceof Error ? error.message : String(error) } };
  }
}

/** A file that a worker of its own writes: what writes to a disk waits for it, and decoding should not. */
export class RemotePartial implements PartialStore {
  readonly #remote: Remote<PartialWorker>;
  readonly #end: () => void;
  /** Those who wait for an answer: a worker that is lost gives none. */
  readonly #waiting = new Set<(reason: unknown) => void>();

  private constructor(spawned: SpawnedWorker) {
    const { port1, port2 } = new MessageChannel();
    this.#remote = wrap<PartialWorker>(port1);
    this.#end = () => {
      port1.close();
      spawned.terminate();
    };
    spawned.onFailure((reason) => this.#fail(`The worker that writes files was lost (${reason.message}).`));
    spawned.endpoint.postMessage({ [OPEN]: port2 }, [port2]);
  }

  /** Starts a worker; undefined where none can be started, or cannot write in place. */
  static async start(spawn: SpawnWorker): Promise<RemotePartial | undefined> {
    let partial: RemotePartial | undefined;
    try {
      partial = new RemotePartial(spawn());
      if (await partial.#answered(partial.#remote.ready())) return partial;
    } catch {
      // As where a page allows no workers.
    }
    partial?.end();
    return undefined;
  }

  open(spec: PartialSpec): Promise<Left> {
    return this.#result(this.#remote.open(spec));
  }

  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    // Others may have the same memory, so a copy is moved; a view would be cloned with all that it is a view of.
    const copy = bytes.slice();
    return this.#result(this.#remote.write(at, transfer(copy, [copy.buffer]), chunks.slice()));
  }

  read(range: ByteRange): Promise<Uint8Array> {
    return this.#result(this.#remote.read(range));
  }

  restart(): Promise<void> {
    return this.#result(this.#remote.restart());
  }

  finish(): Promise<void> {
    return this.#result(this.#remote.finish());
  }

  async close(): Promise<void> {
    try {
      await this.#result(this.#remote.close());
    } finally {
      this.end();
    }
  }

  /** Ends the worker, whatever it is doing; the browser lets go of the file. */
  end(): void {
    this.#end();
    this.#fail('The file was closed.');
  }

  #fail(message: string): void {
    const error = new XetError('CACHE', message, { retryable: true });
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }

  async #result<T>(call: Promise<Answer<T>>): Promise<T> {
    const found = await this.#answered(call);
    if ('value' in found) return found.value;
    throw new WorkerStorageError(found.error);
  }

  #answered<T>(call: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      call.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }
}
