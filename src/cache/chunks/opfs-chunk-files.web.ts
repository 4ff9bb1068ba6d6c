import { SerialQueue } from '../../core/serial-queue.ts';
import { isTaken, openInPlace, readInto, whileInUse, writeAll, writesInPlace } from '../../fs/in-place.ts';
import { folderAt, namesIn, opfsRoot, removeFrom, type SyncAccessHandle } from '../../fs/opfs.ts';

/** Where the bytes of an entry begin. */
export interface FilePlace {
  file: string;
  /** Bytes. */
  at: number;
}

const MAX_OPEN = 64;
/** Nobody else can remove a file that is open. */
const CLOSE_AFTER_MS = 2000;

/** A file that nobody knows may be one that another tab is about to note. */
const ORPHAN_AFTER_MS = 600_000;

/**
 * Files of the page's own storage that hold the bytes of entries: written once and never changed, so that any number of
 * tabs may read them. Only a dedicated worker can write them, and reads them at once and with one copy.
 */
export class OpfsChunkFiles {
  readonly #folder: FileSystemDirectoryHandle;
  /** What was read from last, in that order: files have runs of several places of a xorb, and opening one takes a while. */
  readonly #open = new Map<string, SyncAccessHandle>();
  #letGoTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #turns = new SerialQueue();
  readonly canWrite = writesInPlace();

  private constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  /** Undefined where the browser keeps no files. */
  static async open(name: string): Promise<OpfsChunkFiles | undefined> {
    try {
      return new OpfsChunkFiles(await folderAt(await opfsRoot(), [name], true));
    } catch {
      return undefined;
    }
  }

  /** Writes a new file, and gives its name. What cannot be written whole leaves none. */
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

  /** Fills `into` from a place on; says whether all of it was there. */
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
        // It is gone, or cannot be read: the entry is of no use then.
        this.#letGo(file);
        return false;
      }
    });
  }

  /** Removes files; one that another tab is reading stays until somebody looks for {@link removeUnknown}. */
  remove(files: Iterable<string>): Promise<void> {
    return this.#turns.run(async () => {
      for (const file of files) {
        this.#letGo(file);
        await removeFrom(this.#folder, file);
      }
    });
  }

  /** Removes what was written and never noted, as by a tab that was closed meanwhile. */
  async removeUnknown(known: ReadonlySet<string>): Promise<void> {
    // If it cannot be looked into, what is to be removed is met again.
    const names = await namesIn(this.#folder).catch(() => []);
    const unknown = names.filter((file) => {
      const age = Date.now() - Number.parseInt(file, 36);
      return !known.has(file) && !(Math.abs(age) < ORPHAN_AFTER_MS);
    });
    await this.remove(unknown);
  }

  /** Lets go of what is open, when all that was asked for is done. */
  close(): Promise<void> {
    return this.#turns.run(async () => {
      clearTimeout(this.#letGoTimer);
      for (const file of [...this.#open.keys()]) this.#letGo(file);
    });
  }

  /** Undefined where this thread, or just now, cannot have it. */
  async #opened(file: string): Promise<SyncAccessHandle | undefined> {
    if (!this.canWrite) return undefined;
    const handle = this.#open.get(file) ?? (await this.#opening(file));
    if (!handle) return undefined;
    this.#open.delete(file);
    this.#open.set(file, handle);
    clearTimeout(this.#letGoTimer);
    this.#letGoTimer = setTimeout(() => void this.close(), CLOSE_AFTER_MS);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#letGo(oldest);
    return handle;
  }

  async #opening(file: string): Promise<SyncAccessHandle | undefined> {
    try {
      return await openInPlace(await this.#folder.getFileHandle(file));
    } catch (error) {
      // Another tab has it open.
      if (isTaken(error)) return undefined;
      throw error;
    }
  }

  #letGo(file: string): void {
    this.#open.get(file)?.close();
    this.#open.delete(file);
  }
}
