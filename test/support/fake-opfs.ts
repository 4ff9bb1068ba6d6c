import { vi } from 'vitest';

const error = (name: string, message = name) => new DOMException(message, name);

export interface FakeOpfsOptions {
  /** Whether files can be written in place, as in a dedicated worker. */
  inPlace?: boolean;
  /** Whether files can be renamed; `refuses` does not take a name that is in use. */
  move?: 'replaces' | 'refuses' | 'none';
  writable?: boolean;
  /** Bytes that all files together may have. */
  quotaBytes?: number;
}

/** What becomes of a page's storage when the page dies in the middle of a write. */
export class Killed extends Error {}

class FakeFile {
  readonly kind = 'file';
  readonly opfs: FakeOpfs;
  name: string;
  parent: FakeFolder;
  bytes: Uint8Array = new Uint8Array();
  lastModified = 0;
  open = false;

  constructor(opfs: FakeOpfs, parent: FakeFolder, name: string) {
    this.opfs = opfs;
    this.parent = parent;
    this.name = name;
  }

  replace(bytes: Uint8Array): void {
    const others = this.opfs.usedBytes - this.bytes.length;
    if (others + bytes.length > this.opfs.quotaBytes) throw error('QuotaExceededError');
    this.bytes = bytes;
    this.lastModified = ++this.opfs.clock;
  }

  getFile = async () =>
    Object.assign(new Blob([this.bytes.slice()]), { lastModified: this.lastModified, name: this.name });
}

function makeHandleClass(options: FakeOpfsOptions): typeof FakeFile {
  class Handle extends FakeFile {}
  const prototype = Handle.prototype as FakeFile & Record<string, unknown>;
  if (options.inPlace ?? true) {
    prototype.createSyncAccessHandle = async function (this: FakeFile) {
      if (this.open) throw error('NoModificationAllowedError');
      this.open = true;
      return {
        read: (into: Uint8Array, { at }: { at: number }) => {
          const found = this.bytes.subarray(at, at + into.length);
          into.set(found);
          return found.length;
        },
        write: (bytes: Uint8Array, { at }: { at: number }) => {
          const room = this.opfs.killAfterBytes;
          const taken = bytes.subarray(0, room);
          const grown = new Uint8Array(Math.max(this.bytes.length, at + taken.length));
          grown.set(this.bytes);
          grown.set(taken, at);
          this.replace(grown);
          this.opfs.killAfterBytes -= taken.length;
          if (taken.length < bytes.length) throw new Killed();
          return bytes.length;
        },
        truncate: (size: number) => {
          const cut = new Uint8Array(size);
          cut.set(this.bytes.subarray(0, size));
          this.replace(cut);
        },
        getSize: () => this.bytes.length,
        flush: () => undefined,
        close: () => {
          this.open = false;
        },
      };
    };
  }
  if (options.writable ?? true) {
    prototype.createWritable = async function (this: FakeFile) {
      const parts: Blob[] = [];
      return Object.assign(
        new WritableStream<Uint8Array>({
          write: (bytes) => void parts.push(new Blob([bytes.slice()])),
          close: async () => this.replace(new Uint8Array(await new Blob(parts).arrayBuffer())),
        }),
        {
          write: async (bytes: Uint8Array | string) => void parts.push(new Blob([bytes as string])),
          close: async () => this.replace(new Uint8Array(await new Blob(parts).arrayBuffer())),
          abort: async () => undefined,
        },
      );
    };
  }
  if ((options.move ?? 'replaces') !== 'none') {
    prototype.move = async function (this: FakeFile, folder: FakeFolder, name: string) {
      if (this.open) throw error('NoModificationAllowedError');
      if (folder.entries_.has(name) && options.move === 'refuses') throw error('InvalidModificationError');
      this.parent.entries_.delete(this.name);
      this.parent = folder;
      this.name = name;
      folder.entries_.set(name, this);
    };
  }
  return Handle;
}

class FakeFolder {
  readonly kind = 'directory';
  readonly entries_ = new Map<string, FakeFile | FakeFolder>();
  readonly #opfs: FakeOpfs;

  constructor(opfs: FakeOpfs) {
    this.#opfs = opfs;
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<FakeFile> {
    const found = this.entries_.get(name);
    if (found instanceof FakeFolder) throw error('TypeMismatchError');
    if (found) return found;
    if (!create) throw error('NotFoundError');
    const made = new this.#opfs.Handle(this.#opfs, this, name);
    this.entries_.set(name, made);
    return made;
  }

  async getDirectoryHandle(name: string, { create = false } = {}): Promise<FakeFolder> {
    const found = this.entries_.get(name);
    if (found instanceof FakeFile) throw error('TypeMismatchError');
    if (found) return found;
    if (!create) throw error('NotFoundError');
    const made = new FakeFolder(this.#opfs);
    this.entries_.set(name, made);
    return made;
  }

  async removeEntry(name: string, { recursive = false } = {}): Promise<void> {
    const found = this.entries_.get(name);
    if (!found) throw error('NotFoundError');
    if (found instanceof FakeFile && found.open) throw error('NoModificationAllowedError');
    if (found instanceof FakeFolder && !recursive && found.entries_.size > 0) throw error('InvalidModificationError');
    this.entries_.delete(name);
  }

  async *keys(): AsyncGenerator<string> {
    yield* [...this.entries_.keys()];
  }

  async resolve(): Promise<string[] | null> {
    return null;
  }
}

/** The storage of a page, in memory; may end in the middle of a write as a killed page would. */
export class FakeOpfs {
  readonly root: FakeFolder;
  readonly Handle: typeof FakeFile;
  readonly quotaBytes: number;
  clock = 0;
  killAfterBytes = Number.POSITIVE_INFINITY;

  constructor(options: FakeOpfsOptions = {}) {
    this.quotaBytes = options.quotaBytes ?? Number.POSITIVE_INFINITY;
    this.Handle = makeHandleClass(options);
    this.root = new FakeFolder(this);
  }

  /** Puts it where pages have theirs, until globals are unstubbed. */
  install(): void {
    const estimate = async () => ({ quota: this.quotaBytes, usage: this.usedBytes });
    vi.stubGlobal('navigator', { storage: { getDirectory: async () => this.root, estimate } });
    vi.stubGlobal('FileSystemFileHandle', this.Handle);
  }

  /** The page is gone: what it had open is not open any more. */
  revive(): void {
    this.killAfterBytes = Number.POSITIVE_INFINITY;
    for (const [, file] of this.files()) file.open = false;
  }

  get usedBytes(): number {
    return this.files().reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
  }

  files(folder = this.root, prefix = ''): [path: string, file: FakeFile][] {
    return [...folder.entries_].flatMap(([name, entry]) =>
      entry instanceof FakeFile
        ? [[`${prefix}${name}`, entry] as [string, FakeFile]]
        : this.files(entry, `${prefix}${name}/`),
    );
  }

  /** Paths of all files but notes. */
  get paths(): string[] {
    return this.files()
      .map(([path]) => path)
      .filter((path) => !path.startsWith('.xetkit/saved/'))
      .sort();
  }

  content(path: string): Uint8Array | undefined {
    return this.files().find(([name]) => name === path)?.[1].bytes;
  }
}
