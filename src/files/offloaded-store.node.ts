import { untilAborted } from '../core/abortable.ts';
import { NO_CHUNKS } from '../core/chunks.ts';
import type { Verified } from '../core/content-hash.ts';
import type { ResolvedFile } from '../hub/client.ts';
import type { RepoId } from '../hub/types.ts';
import { DelegatingStore } from './delegating-store.ts';
import type { DiskOffload, PlaceInStore, StoreFolders } from './disk-offload.ts';
import type { ExistingFile, HeldFile } from './held-file.ts';
import { type CommitFiles, commitFilesOf, type FileSink, type Place, type RepoStore } from './place.ts';

/** A longer file takes longer to hand over than to write. */
export const MAX_OFFLOADED_BYTES = 64 * 1024;

let opened = 0;

type SinkOptions = Parameters<Place['openSink']>[0];

/** A store whose steps for small files somebody else takes, if there are many. */
export class OffloadedStore extends DelegatingStore {
  readonly #folders: StoreFolders;
  readonly #help: DiskOffload;

  constructor(store: RepoStore, folders: Omit<StoreFolders, 'id'>, help: DiskOffload) {
    super(store);
    opened++;
    this.#folders = { id: String(opened), ...folders };
    this.#help = help;
  }

  async commitFiles(repo: RepoId, commit: string, files: number): Promise<CommitFiles> {
    this.#help.expect(files);
    return commitFilesOf(this.store, repo, commit, files).then((inner) => ({
      ...inner,
      find: (path) => this.find(repo, commit, path),
      place: (file, revision) => this.place(file, revision),
    }));
  }

  override place(file: ResolvedFile, revision: string): Place {
    const place = this.store.place(file, revision);
    if (file.size > MAX_OFFLOADED_BYTES) return place;
    return new OffloadedPlace(place, { store: this.#folders, file, revision }, this.#help);
  }

  override find(repo: RepoId, commit: string, path: string): Promise<HeldFile | undefined> {
    const here = () => this.store.find(repo, commit, path);
    return this.#help.run('find', [this.#folders, repo, commit, path], here);
  }
}

class OffloadedPlace implements Place {
  readonly #place: Place;
  readonly #where: PlaceInStore;
  readonly #help: DiskOffload;

  constructor(place: Place, { store, file, revision }: PlaceInStore, help: DiskOffload) {
    this.#place = place;
    // What only fetching takes is not worth sending.
    this.#where = { store, file: { ...file, url: '', tokenUrl: '', beginning: undefined }, revision };
    this.#help = help;
  }

  existing(signal: AbortSignal): Promise<ExistingFile | undefined> {
    return untilAborted(
      signal,
      this.#help.run('existing', [this.#where], () => this.#place.existing(signal)),
    );
  }

  async openSink(options: SinkOptions): Promise<FileSink> {
    options.signal.throwIfAborted();
    const { size } = this.#where.file;
    // It is held twice: here, and on its way to whoever writes it.
    if (!this.#help.tryReserve(2 * size)) return this.#place.openSink(options);
    return new BufferedSink(size, {
      put: (bytes, verified) => this.#put(bytes, verified, options),
      release: () => this.#help.release(2 * size),
    });
  }

  #put(bytes: Uint8Array, verified: Verified, options: SinkOptions): Promise<string> {
    const here = async () => {
      const sink = await this.#place.openSink(options);
      try {
        await sink.write(0, bytes, NO_CHUNKS);
        return await sink.publish(verified);
      } finally {
        await sink.close();
      }
    };
    return untilAborted(options.signal, this.#help.run('put', [this.#where, bytes, verified, !options.resume], here));
  }
}

interface Owner {
  put(bytes: Uint8Array, verified: Verified): Promise<string>;
  /** The memory is used no more. */
  release(): void;
}

/** Holds a small file until it is whole. */
class BufferedSink implements FileSink {
  readonly held = [];
  readonly unchecked = [];
  readonly #bytes: Uint8Array;
  readonly #owner: Owner;

  constructor(size: number, owner: Owner) {
    this.#bytes = new Uint8Array(size);
    this.#owner = owner;
  }

  async *read({ start, end }: { start: number; end: number }): AsyncGenerator<Uint8Array> {
    if (start < end) yield this.#bytes.slice(start, end);
  }

  async write(at: number, bytes: Uint8Array): Promise<void> {
    this.#bytes.set(bytes, at);
  }

  async restart(): Promise<void> {
    this.#bytes.fill(0);
  }

  publish(verified: Verified): Promise<string> {
    return this.#owner.put(this.#bytes, verified);
  }

  async close(): Promise<void> {
    this.#owner.release();
  }
}
