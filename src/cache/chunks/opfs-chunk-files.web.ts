import { SerialQueue } from '../../core/serial-queue.ts';
import { isTaken, openInPlace, readInto, whileInUse, writeAll, writesInPlace } from '../../fs/in-place.ts';
import { folderAt, namesIn, opfsRoot, removeFrom, type SyncAccessHandle } from '../../fs/opfs.ts';

/** Place of an entry's bytes. */
export interface FilePlace {
  file: string;
  /** Offset in bytes. */
  at: number;
}

const MAX_OPEN = 64;
/** An open file cannot be removed by other tabs. */
const CLOSE_AFTER_MS = 2000;

/** Age from which a file without entries is an orphan: another tab may be about to add its entries. */
const ORPHAN_AFTER_MS = 600_000;

/**
 * Files in the page's own storage (OPFS) with the bytes of entries. They are written once and never changed, so any
 * number of tabs may read them. Only a dedicated worker can write them, and it reads them synchronously with one copy.
 */
export class OpfsChunkFiles {
  readonly #folder: FileSystemDirectoryHandle;
  /** Open files, least recently read first: a file has runs from several places of a xorb, and opening it takes a while. */
  readonly #open = new Map<string, SyncAccessHandle>();
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #turns = new SerialQueue();
  readonly canWrite = writesInPlace();

  private constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  /** Resolves to undefined where the browser has no file storage. */
  static async open(name: string): Promise<OpfsChunkFiles | undefined> {
    try {
      return new OpfsChunkFiles(await folderAt(await opfsRoot(), [name], true));
    } catch {
      return undefined;
    }
  }

  /** Writes a new file and returns its name. A failed write leaves no file. */
  async write(pieces: readonly Uint8Array[]): Promise<string> {
    const file = `${Date.now().toString(36)}-${crypto.randomUUID()}`;
    try {
      const handle = await openInPlace(await this.#folder.getFileHandle(file, { create: true }));
      try {
        let at = 0;
        for (const piece of pieces) {
          writeAll(handle, piece, at);
          at += piece.length;
        }
      } finally {
        handle.close();
      }
      return file;
    } catch (error) {
      await removeFrom(this.#folder, file);
      throw error;
    }
  }

  /** Fills `into` from an offset on. Returns false if the file is missing, unreadable or too short. */
  read(file: string, at: number, into: Uint8Array): Promise<boolean> {
    return this.#turns.run(async () => {
      try {
        const handle = await this.#opened(file);
        if (handle) return readInto(handle, at, into) === into.length;
        const found = await this.#folder.getFileHandle(file);
        const bytes = new Uint8Array(
          await (await whileInUse(found, found.getFile())).slice(at, at + into.length).arrayBuffer(),
        );
        if (bytes.length !== into.length) return false;
        into.set(bytes);
        return true;
      } catch {
        // Whatever the reason, the entry is of no use then.
        this.#close(file);
        return false;
      }
    });
  }

  /** Removes files. One that another tab is reading stays until {@link removeUnknown}. */
  remove(files: Iterable<string>): Promise<void> {
    return this.#turns.run(async () => {
      for (const file of files) {
        this.#close(file);
        await removeFrom(this.#folder, file);
      }
    });
  }

  /** Removes orphans, such as files of a tab that was closed before it added their entries. */
  async removeUnknown(known: ReadonlySet<string>): Promise<void> {
    // If the folder cannot be listed now, the next store tries again.
    const names = await namesIn(this.#folder).catch(() => []);
    const unknown = names.filter((file) => {
      const age = Date.now() - Number.parseInt(file, 36);
      return !known.has(file) && !(Math.abs(age) < ORPHAN_AFTER_MS);
    });
    await this.remove(unknown);
  }

  /** Closes all open files once pending calls are done. */
  close(): Promise<void> {
    return this.#turns.run(async () => {
      clearTimeout(this.#closeTimer);
      for (const file of [...this.#open.keys()]) this.#close(file);
    });
  }

  /** Resolves to undefined if this thread cannot open files, or another tab has this one open. */
  async #opened(file: string): Promise<SyncAccessHandle | undefined> {
    if (!this.canWrite) return undefined;
    const handle = this.#open.get(file) ?? (await this.#opening(file));
    if (!handle) return undefined;
    this.#open.delete(file);
    this.#open.set(file, handle);
    clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => void this.close(), CLOSE_AFTER_MS);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#close(oldest);
    return handle;
  }

  async #opening(file: string): Promise<SyncAccessHandle | undefined> {
    try {
      return await openInPlace(await this.#folder.getFileHandle(file));
    } catch (error) {
      if (isTaken(error)) return undefined;
      throw error;
    }
  }

  #close(file: string): void {
    this.#open.get(file)?.close();
    this.#open.delete(file);
  }
}
