import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { untilAborted } from '../../core/abortable.ts';
import type { ChunkRecords } from '../../core/chunks.ts';
import type { Verified } from '../../core/content-hash.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { type DiskFile, open, rm } from '../../fs/disk.node.ts';
import { diskErrors, makeFolder } from '../../fs/disk-errors.node.ts';
import { isStillAt } from '../../fs/small-files.node.ts';
import { writeAll } from '../../fs/write-all.node.ts';
import type { FileSink } from '../place.ts';
import { lost, type Publish } from './partial-file.node.ts';

/**
 * Files up to this length come in one piece: what would be kept of a part of one is worth less than the lock and the journal
 * that keeping it takes, of which a folder of a thousand files has a thousand.
 */
export const ONE_PIECE_BYTES = 256 * 1024;

/** Files that are being written in this process, by their stems. */
const underWay = new Map<string, Promise<void>>();

/**
 * A file that is written at once, under a name that nobody else has. Nothing of it is left for another try. Two that want the
 * same in this process take turns; another process is not waited for.
 */
export class OnePieceFile implements FileSink {
  readonly held = [];
  readonly unchecked = [];
  readonly #path: string;
  readonly #data: DiskFile;
  readonly #size: number;
  readonly #publish: Publish;
  readonly #done: () => void;
  #closed = false;
  #published = false;

  private constructor(path: string, data: DiskFile, size: number, publish: Publish, done: () => void) {
    this.#path = path;
    this.#data = data;
    this.#size = size;
    this.#publish = publish;
    this.#done = done;
  }

  /** @param stem path of the unfinished file without its endings. */
  static async open(
    stem: string,
    size: number,
    { signal, onWait }: { signal: AbortSignal; onWait: () => void },
    publish: Publish,
  ): Promise<OnePieceFile> {
    for (let other = underWay.get(stem); other; other = underWay.get(stem)) {
      onWait();
      await untilAborted(signal, other);
    }
    let leave = () => {};
    const mine = new Promise<void>((resolve) => {
      leave = resolve;
    });
    underWay.set(stem, mine);
    const done = () => {
      if (underWay.get(stem) === mine) underWay.delete(stem);
      leave();
    };
    try {
      return await OnePieceFile.#create(stem, size, publish, done);
    } catch (error) {
      done();
      throw error;
    }
  }

  static #create(stem: string, size: number, publish: Publish, done: () => void): Promise<OnePieceFile> {
    const path = `${stem}.${randomUUID()}.xetkit.incomplete`;
    return diskErrors(path, async () => {
      const data = await open(path, 'wx+').catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
        await makeFolder(dirname(path));
        return open(path, 'wx+');
      });
      return new OnePieceFile(path, data, size, publish, done);
    });
  }

  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    if (start >= end) return;
    const bytes = new Uint8Array(end - start);
    const { bytesRead } = await this.#data.read(bytes, 0, bytes.length, start);
    yield bytes.subarray(0, bytesRead);
  }

  write(at: number, bytes: Uint8Array, _chunks: ChunkRecords): Promise<void> {
    return diskErrors(this.#path, () => writeAll(this.#data, bytes, at));
  }

  restart(): Promise<void> {
    return diskErrors(this.#path, () => this.#data.truncate(0));
  }

  publish(verified: Verified): Promise<string> {
    return diskErrors(this.#path, async () => {
      // Where an attempt that failed has written, there may be more than the file.
      if ((await this.#data.stat()).size !== this.#size) await this.#data.truncate(this.#size);
      const look = await this.#data.stat({ bigint: true });
      if (!(await isStillAt(this.#path, this.#data))) throw lost(this.#path);
      await this.#closeFile();
      const path = await this.#publish(this.#path, verified, look);
      this.#published = true;
      return path;
    });
  }

  async close(): Promise<void> {
    try {
      await this.#closeFile();
      if (!this.#published) await rm(this.#path, { force: true });
    } finally {
      this.#done();
    }
  }

  async #closeFile(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#data.close();
  }
}
