import type { ChunkRecords } from '../../core/chunks.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { writesInPlace } from '../../fs/in-place.ts';
import { fileIn, folderAt, opfsRoot, removeFrom, unfinished } from '../../fs/opfs.ts';
import { storageErrors } from '../../fs/storage-error.ts';
import type { Left } from '../journal.ts';
import type { FileSink } from '../place.ts';
import { PartFiles } from './part-files.ts';
import type { OpfsSinkParts } from './partial-data.ts';
import { PartialData, type PartialStore } from './partial-data.ts';
import { RemotePartial } from './partial-worker.ts';

/** Read at once, in bytes. */
const READ_BYTES = 1024 * 1024;

/** A file on its way in the page's own storage: written in place where that can be, in parts elsewhere. */
export async function openOpfsSink(parts: OpfsSinkParts): Promise<FileSink> {
  const { spec, spawnWorker, signal } = parts;
  const path = [...spec.folders, spec.name].join('/');
  return storageErrors(path, spec.size, async () => {
    if (writesInPlace()) {
      const { store, left } = await PartialData.open(spec);
      return new OpfsSink(path, parts, store, left);
    }
    const remote = spawnWorker && (await RemotePartial.start(spawnWorker));
    if (!remote) return PartFiles.open(path, parts);
    const onAbort = () => remote.end();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      return new OpfsSink(path, parts, remote, await remote.open(spec));
    } catch (error) {
      remote.end();
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  });
}

class OpfsSink implements FileSink {
  readonly #path: string;
  readonly #parts: OpfsSinkParts;
  readonly #store: PartialStore;
  held: Left['held'];
  unchecked: Left['unchecked'];

  constructor(path: string, parts: OpfsSinkParts, store: PartialStore, { held, unchecked }: Left) {
    this.#path = path;
    this.#parts = parts;
    this.#store = store;
    this.held = held;
    this.unchecked = unchecked;
  }

  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; at += READ_BYTES) {
      yield await this.#guarded(() => this.#store.read({ start: at, end: Math.min(end, at + READ_BYTES) }));
    }
  }

  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    return this.#guarded(() => this.#store.write(at, bytes, chunks));
  }

  async restart(): Promise<void> {
    await this.#guarded(() => this.#store.restart());
    this.held = [];
    this.unchecked = [];
  }

  async publish(): Promise<string> {
    const { folders, name } = this.#parts.spec;
    return this.#guarded(async () => {
      await this.#store.finish();
      const folder = await folderAt(await opfsRoot(), folders, false);
      const { data, journal } = unfinished(name);
      const finished = await fileIn(folder, data);
      if (!finished) throw new DOMException('The finished file is gone', 'NotFoundError');
      const path = await this.#parts.publish(finished);
      await removeFrom(folder, journal);
      return path;
    });
  }

  close(): Promise<void> {
    return this.#guarded(() => this.#store.close());
  }

  #guarded<T>(run: () => Promise<T>): Promise<T> {
    return storageErrors(this.#path, this.#parts.spec.size, run);
  }
}
