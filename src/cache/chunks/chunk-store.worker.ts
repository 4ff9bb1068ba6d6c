import { type Endpoint, expose, transfer } from 'comlink';
import type { SpawnedWorker, SpawnWorker } from '../../../workers/spawn.ts';
import { Codec } from '../../codec/codec.ts';
import { isXetError, XetError } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import { capture, type Result, unwrap } from '../../workers/result.ts';
import { exposeService, WorkerClient } from '../../workers/rpc.ts';
import { assertRun, type HashChunk } from './chunk-runs.ts';
import { openIndexedDbChunkStore } from './chunk-store.indexeddb.ts';
import type { ChunkRun, ChunkStore, ChunkStoreUsage } from './chunk-store.ts';

/** What the worker does: calls of a store by name. */
interface StoreWorker {
  open(name: string, maxBytes: number): Promise<Result<void>>;
  /** Resolves when the database is lost, with the reason. */
  lost(): Promise<string>;
  call(name: keyof ChunkStore, args: unknown[]): Promise<Result<unknown>>;
}

const SERVICE = 'xetkit-chunk-store';

/**
 * Lets a worker keep chunks.
 * @param fileBytes what is shorter goes into the database itself
 */
export function serveChunkStores(
  scope: Pick<Endpoint, 'addEventListener'>,
  loadHash: () => Promise<HashChunk> = loadChunkHash,
  fileBytes?: number,
): void {
  exposeService(scope, SERVICE, (port) => serve(port, loadHash, fileBytes));
}

async function loadChunkHash(): Promise<HashChunk> {
  const codec = await Codec.load();
  return (chunk) => codec.chunkHash(chunk);
}

function serve(port: MessagePort, loadHash: () => Promise<HashChunk>, fileBytes: number | undefined): void {
  let opened: ChunkStore | undefined;
  // Not before the first use: a policy may forbid WebAssembly, and without it there is nothing to hash.
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
        opened = await openIndexedDbChunkStore(name, { maxBytes, hash, onLost: lose, fileBytes });
      }),
    lost: () => lost,
    call: async (name, args) => {
      const found = await capture(async () => {
        if (!opened) throw new XetError('CLOSED', 'No store is open.');
        return (opened[name] as (...all: unknown[]) => Promise<unknown>)(...args);
      });
      if (!('value' in found)) return found;
      if (name === 'put') return givenBack((args as Parameters<ChunkStore['put']>)[1].bytes.buffer);
      const { bytes } = (found.value as ChunkRun | undefined) ?? {};
      return bytes instanceof Uint8Array ? transfer(found, [bytes.buffer]) : found;
    },
  };
  expose(worker, port);
}

/** Memory that is of no use any more, for whoever had it: thrown away it would lie about until it is collected. */
function givenBack(spent: ArrayBufferLike): Result<unknown> {
  return transfer({ value: spent }, [spent as ArrayBuffer]);
}

export interface RemoteStoreOptions {
  maxBytes: number;
  /** Called once if the database, or the worker, is lost for good. From then on the store is empty. */
  onLost: (reason: string) => void;
}

/**
 * A chunk store in a browser's database that a worker of its own uses: what goes in and out is copied by the thread that
 * asks for it, some milliseconds for each megabyte, and a page has better things to do.
 */
export class RemoteChunkStore implements ChunkStore {
  readonly #client: WorkerClient<StoreWorker>;
  #onLost: ((reason: string) => void) | undefined;
  #isOver = false;

  private constructor(spawned: SpawnedWorker) {
    this.#client = new WorkerClient(spawned, SERVICE, (reason) => this.#lose(`its worker was lost: ${reason.message}`));
  }

  /** Undefined where no worker can be started; rejects with `CACHE` where the worker has no database. */
  static async open(
    spawn: SpawnWorker,
    name: string,
    { maxBytes, onLost }: RemoteStoreOptions,
  ): Promise<RemoteChunkStore | undefined> {
    let started: RemoteChunkStore | undefined;
    try {
      const store = new RemoteChunkStore(spawn());
      started = store;
      await store.#result(() => store.#client.remote.open(name, maxBytes));
      store.#onLost = onLost;
      store.#client
        .callUntimed(() => store.#client.remote.lost())
        .then(
          (reason) => store.#lose(reason),
          () => undefined,
        );
      return store;
    } catch (error) {
      // As where a page allows no workers.
      if (!started || started.#isOver) return undefined;
      started.#client.end(error);
      throw error;
    }
  }

  find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]> {
    return this.#orNothing(this.#call('find', [xorb, chunks]), []);
  }

  records(xorb: string, chunks: ChunkRange): Promise<Uint8Array> {
    return this.#orNothing(this.#call('records', [xorb, chunks]), new Uint8Array());
  }

  read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined> {
    return this.#orNothing(this.#call('read', [xorb, chunks]), undefined);
  }

  async put(xorb: string, run: ChunkRun, given = false): Promise<ArrayBuffer | undefined> {
    assertRun(xorb, run);
    // A view would be cloned with all that it is a view of.
    const bytes = given ? run.bytes : run.bytes.slice();
    const moved = { ...run, records: run.records.slice(), bytes };
    return this.#orNothing(this.#call('put', [xorb, moved], [bytes.buffer]), undefined);
  }

  drop(xorb: string): Promise<void> {
    return this.#orNothing(this.#call('drop', [xorb]), undefined);
  }

  usage(): Promise<ChunkStoreUsage> {
    return this.#call('usage', []);
  }

  prune(maxBytes: number): Promise<number> {
    return this.#call('prune', [maxBytes]);
  }

  clear(): Promise<void> {
    return this.#call('clear', []);
  }

  async close(): Promise<void> {
    await this.#orNothing(this.#call('close', []), undefined);
    this.#isOver = true;
    this.#client.end(new XetError('CLOSED', 'The chunk cache was closed.'));
  }

  #lose(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client.end(new XetError('CACHE', `The browser's database cannot be used: ${reason}.`));
    this.#onLost?.(reason);
  }

  #call<T>(name: keyof ChunkStore, args: unknown[], moved: Transferable[] = []): Promise<T> {
    return this.#result(() => this.#client.remote.call(name, transfer(args, moved)) as Promise<Result<T>>);
  }

  async #result<T>(call: () => Promise<Result<T>>): Promise<T> {
    return unwrap(await this.#client.call(call));
  }

  /** A cache that is lost has nothing; mistakes of ours are told. */
  async #orNothing<T>(call: Promise<T>, nothing: T): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (isXetError(error, 'INVALID_ARGUMENT')) throw error;
      return nothing;
    }
  }
}
