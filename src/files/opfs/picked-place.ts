import type { SpawnWorker } from '../../../workers/spawn.ts';
import { xetHashOf } from '../../codec/hash-blob.ts';
import { XetError } from '../../core/errors.ts';
import { copyInto, folderAt, opfsRoot, removeFrom, unfinished } from '../../fs/opfs.ts';
import { storageErrors } from '../../fs/storage-error.ts';
import type { ResolvedFile } from '../../hub/client.ts';
import type { ExistingFile } from '../held-file.ts';
import type { FileSink, Place } from '../place.ts';
import { openStaged } from './opfs-place.ts';

/** The used part of a `FileSystemFileHandle`. */
export interface WritableFile {
  /** Folders are no files. */
  readonly kind: 'file';
  /** As the user sees it. */
  readonly name: string;
  /** Its content. */
  getFile(): Promise<Blob>;
  /** A stream that replaces what is in it when it is closed. */
  createWritable?(): Promise<WritableStream<Uint8Array>>;
  /** Write permission of the page: `granted`, `prompt` or `denied`. */
  queryPermission?(options: { mode: 'readwrite' }): Promise<string>;
}

/** Folder of unfinished files that will be copied elsewhere. */
const FOLDERS = ['.xetkit', 'saving'];

/**
 * A file that the user picked, anywhere on the disk. What a page writes there lands when it is closed, all of it or
 * nothing; so the file is put together in the page's own storage, where a next try finds it, and copied when it is right.
 */
export class PickedPlace implements Place {
  readonly #file: ResolvedFile;
  readonly #picked: WritableFile;
  readonly #spawnWorker: SpawnWorker | undefined;

  constructor(file: ResolvedFile, picked: WritableFile, spawnWorker: SpawnWorker | undefined) {
    this.#file = file;
    this.#picked = picked;
    this.#spawnWorker = spawnWorker;
  }

  async existing(signal: AbortSignal): Promise<ExistingFile | undefined> {
    const { size, xetHash } = this.#file;
    await this.#checkPermission();
    return storageErrors(this.#picked.name, size, async () => {
      const found = await this.#picked.getFile();
      const isRight = size > 0 && found.size === size && xetHash !== undefined;
      if (!isRight || (await xetHashOf(found, signal)) !== xetHash) return undefined;
      return { localPath: this.#picked.name, verified: 'xet' };
    });
  }

  async openSink(options: { signal: AbortSignal; onWait: () => void; resume: boolean }): Promise<FileSink> {
    const { xetHash, etag } = this.#file;
    await this.#checkPermission();
    // By content: whoever picks another place for the same file goes on with what there is of it.
    const staging = { folders: FOLDERS, name: xetHash ?? etag };
    const parts = { file: this.#file, spawnWorker: this.#spawnWorker };
    return openStaged(parts, staging, options, async (finished) => {
      await copyInto(finished as never, this.#picked as never, options.signal);
      await removeFrom(await folderAt(await opfsRoot(), FOLDERS, true), unfinished(staging.name).data);
      return { path: this.#picked.name };
    });
  }

  /** Better told now than when all of it is here. */
  async #checkPermission(): Promise<void> {
    const { name } = this.#picked;
    if (!this.#picked.createWritable)
      throw new XetError('UNSUPPORTED', `This browser cannot write '${name}' in place.`);
    const permission = (await this.#picked.queryPermission?.({ mode: 'readwrite' })) ?? 'granted';
    if (permission === 'granted') return;
    throw new XetError(
      'PERMISSION',
      `The page may not write '${name}' any more. In a click, ask with handle.requestPermission({ mode: 'readwrite' }).`,
    );
  }
}
