import type { SpawnWorker } from '../../../workers/spawn.ts';
import { xetHashOf } from '../../codec/hash-blob.ts';
import type { Verified } from '../../core/content-hash.ts';
import {
  type FileHandle,
  fileIn,
  folderAt,
  nameOf,
  type OpfsPath,
  opfsRoot,
  publishAs,
  removeFrom,
  unfinished,
} from '../../fs/opfs.ts';
import { acquirePageLock } from '../../fs/page-lock.ts';
import { storageErrors } from '../../fs/storage-error.ts';
import type { ResolvedFile } from '../../hub/client.ts';
import type { ExistingFile } from '../held-file.ts';
import type { FileSink, Place } from '../place.ts';
import { openOpfsSink } from './opfs-sink.ts';
import { readSaved, writeSaved } from './saved-notes.ts';

export interface OpfsPlaceParts {
  file: ResolvedFile;
  path: OpfsPath;
  spawnWorker: SpawnWorker | undefined;
}

interface SinkOptions {
  signal: AbortSignal;
  onWait: () => void;
  resume: boolean;
}

/** A file of the page's own storage. Tabs take turns; each finds what the one before has done. */
export class OpfsPlace implements Place {
  readonly #parts: OpfsPlaceParts;
  readonly #path: string;

  constructor(parts: OpfsPlaceParts) {
    this.#parts = parts;
    this.#path = [...parts.path.folders, parts.path.name].join('/');
  }

  async existing(signal: AbortSignal): Promise<ExistingFile | undefined> {
    const { file, path } = this.#parts;
    return storageErrors(this.#path, file.size, async () => {
      const folder = await folderAt(await opfsRoot(), path.folders, false).catch((error: unknown) => {
        if (nameOf(error) !== 'NotFoundError') throw error;
      });
      const found = await (folder && (await fileIn(folder, path.name)))?.getFile();
      if (!folder || found?.size !== file.size) return undefined;
      const verified = (await this.#noted(found)) ?? (await this.#hashed(found, signal));
      return verified && { localPath: this.#path, verified };
    });
  }

  openSink(options: SinkOptions): Promise<FileSink> {
    const { path } = this.#parts;
    return openStaged(this.#parts, path, options, async (finished) => {
      const folder = await folderAt(await opfsRoot(), path.folders, true);
      await publishAs(finished, folder, path.name, options.signal);
      await removeFrom(folder, unfinished(path.name).data);
      const published = await (await folder.getFileHandle(path.name)).getFile();
      return { path: this.#path, note: (verified) => this.#note(published, verified) };
    });
  }

  async #noted(found: File): Promise<Verified | undefined> {
    const { etag, size, commit } = this.#parts.file;
    const note = await readSaved(this.#path);
    // While no server is asked, the Xet hash may not be known.
    const { xetHash = note?.xetHash } = this.#parts.file;
    const isSame = note?.etag === etag && note.xetHash === xetHash && note.size === size;
    if (!isSame || note.lastModified !== found.lastModified) return undefined;
    if (note.commit !== commit) await writeSaved(this.#path, { ...note, commit });
    return note.verified;
  }

  async #hashed(found: File, signal: AbortSignal): Promise<Verified | undefined> {
    const { xetHash } = this.#parts.file;
    if (xetHash === undefined || (await xetHashOf(found, signal)) !== xetHash) return undefined;
    await this.#note(found, 'xet');
    return 'xet';
  }

  async #note({ lastModified }: File, verified: Verified): Promise<void> {
    const { etag, xetHash = null, size, commit } = this.#parts.file;
    await writeSaved(this.#path, { etag, xetHash, size, commit, lastModified, verified });
  }
}

/** Outcome of a finished file. */
export interface Published {
  path: string;
  /** Called with the verification method. */
  note?: (verified: Verified) => Promise<void>;
}

/** A sink in the page's own storage under some path, for one writer among all tabs. */
export async function openStaged(
  { file, spawnWorker }: Pick<OpfsPlaceParts, 'file' | 'spawnWorker'>,
  { folders, name }: OpfsPath,
  { signal, onWait, resume }: SinkOptions,
  publish: (finished: FileHandle) => Promise<Published>,
): Promise<FileSink> {
  const release = await acquirePageLock(`xetkit saves ${[...folders, name].join('/')}`, { signal, onWait });
  try {
    const { etag, size, xetHash = null } = file;
    const header = new TextEncoder().encode(`${JSON.stringify({ xetkit: 1, etag, size, xetHash })}\n`);
    let published: Published | undefined;
    const sink = await openOpfsSink({
      spec: { folders, name, header, size, resume },
      spawnWorker,
      signal,
      publish: async (finished) => {
        published = await publish(finished);
        return published.path;
      },
    });
    return new Locked(sink, release, async (verified) => published?.note?.(verified));
  } catch (error) {
    release();
    throw error;
  }
}

/** A sink that has the lock for its file until it is closed. */
class Locked implements FileSink {
  readonly #sink: FileSink;
  readonly #release: () => void;
  readonly #onPublished: (verified: Verified) => Promise<void>;

  constructor(sink: FileSink, release: () => void, onPublished: (verified: Verified) => Promise<void>) {
    this.#sink = sink;
    this.#release = release;
    this.#onPublished = onPublished;
  }

  get held() {
    return this.#sink.held;
  }

  get unchecked() {
    return this.#sink.unchecked;
  }

  read(range: Parameters<FileSink['read']>[0]) {
    return this.#sink.read(range);
  }

  write(...args: Parameters<FileSink['write']>) {
    return this.#sink.write(...args);
  }

  restart() {
    return this.#sink.restart();
  }

  async publish(verified: Verified): Promise<string> {
    const path = await this.#sink.publish(verified);
    await this.#onPublished(verified);
    return path;
  }

  async close(): Promise<void> {
    try {
      await this.#sink.close();
    } finally {
      this.#release();
    }
  }
}
