import { type Endpoint, expose, transfer } from 'comlink';
import type { SpawnedWorker, SpawnWorker } from '../../../workers/spawn.ts';
import { Codec } from '../../codec/codec.ts';
import { isXetError, XetError } from '../../core/errors.ts';
import { capture, type Result, unwrap } from '../../workers/result.ts';
import { exposeService, WorkerClient } from '../../workers/rpc.ts';
import { assertRun, type HashChunk } from './chunk-runs.ts';
import { openIndexedDbChunkStore } from './chunk-store.indexeddb.ts';
import { type ChunkRun, type ChunkStore, callByName, dispatching } from './chunk-store.ts';

/** The service of the worker: methods of a store, called by name. */
interface StoreWorker {
  open(name: string, maxBytes: number): Promise<Result<void>>;
  /** Resolves with the reason when the database is lost. */
  lost(): Promise<string>;
  call(method: keyof ChunkStore, args: unknown[]): Promise<Result<unknown>>;
}

const SERVICE = 'xetkit-chunk-store';

/**
 * Serves chunk stores in a worker.
 *
 * @param minFileBytes groups of runs with fewer bytes are stored in the database itself.
 */
export function serveChunkStores(
  scope: Pick<Endpoint, 'addEventListener'>,
  loadHash: () => Promise<HashChunk> = loadChunkHash,
  minFileBytes?: number,
): void {
  exposeService(scope, SERVICE, (port) => serve(port, loadHash, minFileBytes));
}

async function loadChunkHash(): Promise<HashChunk> {
  const codec = await Codec.load();
  return (chunk) => codec.chunkHash(chunk);
}

function serve(port: MessagePort, loadHash: () => Promise<HashChunk>, minFileBytes: number | undefined): void {
  let opened: ChunkStore | undefined;
  // Loaded on first use: a policy may forbid WebAssembly, and then there are no chunks to hash.
  let loading: Promise<HashChunk> | undefined;
  const hash: HashChunk = async (chunk) => {
    loading ??= loadHash();
    return (await loading)(chunk);
  };
  let lose: (reason: string) => void = () => undefined;
  const lost = new Promise<string>((resolve) => {
    lose = resolve;
  });
  const worker: StoreWorker = {
    open: (name, maxBytes) =>
      capture(async () => {
        opened = await openIndexedDbChunkStore(name, { maxBytes, hash, onLost: lose, minFileBytes });
      }),
    lost: () => lost,
    call: async (method, args) => {
      const result = await capture(async () => {
        if (!opened) throw new XetError('CLOSED', 'No store is open.');
        return callByName(opened, method, args);
      });
      if (!('value' in result)) return result;
      if (method === 'put') return returnMemory((args as Parameters<ChunkStore['put']>)[1].bytes.buffer);
      const { bytes } = (result.value as ChunkRun | undefined) ?? {};
      return bytes instanceof Uint8Array ? transfer(result, [bytes.buffer]) : result;
    },
  };
  expose(worker, port);
}

/** Returns memory to its owner for reuse: discarded, it would stay allocated until it is collected. */
function returnMemory(buffer: ArrayBufferLike): Result<unknown> {
  return transfer({ value: buffer }, [buffer as ArrayBuffer]);
}

export interface WorkerStoreOptions {
  maxBytes: number;
  /** Called once if the database, or the worker, is lost for good. The store is empty from then on. */
  onLost: (reason: string) => void;
}

/**
 * Opens a chunk store whose database a dedicated worker uses. The thread that calls IndexedDB copies the values, which
 * takes some milliseconds per megabyte; on a page's main thread that would delay frames.
 *
 * Resolves to undefined where no worker can be started, and rejects with `CACHE` where the worker has no database.
 */
export async function openWorkerChunkStore(
  spawn: SpawnWorker,
  name: string,
  { maxBytes, onLost }: WorkerStoreOptions,
): Promise<ChunkStore | undefined> {
  let started: RemoteStore | undefined;
  try {
    const remote = new RemoteStore(spawn());
    started = remote;
    await remote.open(name, maxBytes, onLost);
    return remote.store;
  } catch (error) {
    // For instance, a page may allow no workers.
    if (!started || started.isOver) return undefined;
    started.end(error);
    throw error;
  }
}

/** Results of a store that is lost. Methods that are not listed reject. */
const EMPTY: Partial<Record<keyof ChunkStore, () => unknown>> = {
  find: () => [],
  records: () => new Uint8Array(),
  read: () => undefined,
  put: () => undefined,
  drop: () => undefined,
  close: () => undefined,
};

class RemoteStore {
  readonly #client: WorkerClient<StoreWorker>;
  #onLost: ((reason: string) => void) | undefined;
  isOver = false;

  readonly store: ChunkStore = {
    ...dispatching((method, args) => this.#call(method, args)),
    put: async (xorb, run, transferred = false) => {
      assertRun(xorb, run);
      // A view would be cloned with its whole buffer.
      const bytes = transferred ? run.bytes : run.bytes.slice();
      const moved = { ...run, records: run.records.slice(), bytes };
      return (await this.#call('put', [xorb, moved], [bytes.buffer])) as ArrayBuffer | undefined;
    },
    close: async () => {
      await this.#call('close', []);
      this.end(new XetError('CLOSED', 'The chunk cache was closed.'));
    },
  };

  constructor(spawned: SpawnedWorker) {
    this.#client = new WorkerClient(spawned, SERVICE, (reason) => this.#lose(`its worker was lost: ${reason.message}`));
  }

  async open(name: string, maxBytes: number, onLost: (reason: string) => void): Promise<void> {
    unwrap<void>(await this.#client.call<Result<void>>(() => this.#client.remote.open(name, maxBytes)));
    this.#onLost = onLost;
    this.#client
      .callUntimed(() => this.#client.remote.lost())
      .then(
        (reason) => this.#lose(reason),
        () => undefined,
      );
  }

  end(reason: unknown): void {
    this.isOver = true;
    this.#client.end(reason);
  }

  #lose(reason: string): void {
    if (this.isOver) return;
    this.end(new XetError('CACHE', `The browser's database cannot be used: ${reason}.`));
    this.#onLost?.(reason);
  }

  async #call(method: keyof ChunkStore, args: unknown[], moved: Transferable[] = []): Promise<unknown> {
    try {
      const call = () => this.#client.remote.call(method, transfer(args, moved));
      return unwrap(await this.#client.call<Result<unknown>>(call));
    } catch (error) {
      const empty = EMPTY[method];
      // A wrong argument is an error of the program, whatever the state of the store.
      if (!empty || isXetError(error, 'INVALID_ARGUMENT')) throw error;
      return empty();
    }
  }
}
