import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  CHUNK_RECORD_BYTES,
  ChunkRecordList,
  type ChunkRecords,
  chunkCount,
  chunkLength,
  chunkSlice,
} from '../chunks.ts';
import { loadCodec } from '../codec.node.ts';
import { diskErrors, makeFolder } from './disk-errors.node.ts';
import { acquireLock } from './lock.node.ts';
import type { FileSink } from './place.ts';

/** What a partial file is a part of; one that says something else is of no use. */
export interface PartialIdentity {
  etag: string;
  size: number;
  xetHash: string | undefined;
}

interface Parts {
  paths: Paths;
  header: Uint8Array;
  data: FileHandle;
  journal: FileHandle;
  release: () => Promise<void>;
  /** Bytes in the data file, checked or not. */
  present: number;
}

interface Paths {
  data: string;
  journal: string;
  lock: string;
}

const READ_BYTES = 1024 * 1024;
const MAX_CHUNK_BYTES = 128 * 1024;

/**
 * A file on its way, with a journal of the chunks it holds. Bytes are written before the journal names their
 * chunks, and what the journal names is hashed again before it is believed, so that a kill at any moment
 * costs at most the last few chunks.
 */
export class PartialFile implements FileSink {
  readonly #paths: Paths;
  readonly #header: Uint8Array;
  readonly #data: FileHandle;
  readonly #journal: FileHandle;
  readonly #release: () => Promise<void>;
  readonly #publish: (finished: string) => Promise<string>;
  resumed: { chunks: ChunkRecords; bytes: number };
  #position: number;
  #journalPosition: number;
  #present: number;
  #closed = false;

  private constructor(
    parts: Parts,
    publish: (finished: string) => Promise<string>,
    resumed: { chunks: ChunkRecords; bytes: number },
  ) {
    this.#paths = parts.paths;
    this.#header = parts.header;
    this.#data = parts.data;
    this.#journal = parts.journal;
    this.#release = parts.release;
    this.#publish = publish;
    this.resumed = resumed;
    this.#position = resumed.bytes;
    this.#present = parts.present;
    this.#journalPosition = parts.header.length + resumed.chunks.length;
  }

  /** @param stem path of the partial file without its endings. */
  static open(
    stem: string,
    identity: PartialIdentity,
    options: { signal: AbortSignal; onWait: () => void; resume: boolean },
    publish: (finished: string) => Promise<string>,
  ): Promise<PartialFile> {
    const paths = {
      data: `${stem}.xetkit.incomplete`,
      journal: `${stem}.xetkit-journal.incomplete`,
      lock: `${stem}.xetkit-lock.incomplete`,
    };
    return diskErrors(paths.data, async () => {
      await makeFolder(dirname(stem));
      const release = await acquireLock(paths.lock, options);
      const opened: FileHandle[] = [];
      try {
        const { etag, size, xetHash } = identity;
        const header = new TextEncoder().encode(
          `${JSON.stringify({ xetkit: 1, etag, size, xetHash: xetHash ?? null })}\n`,
        );
        for (const path of [paths.data, paths.journal]) opened.push(await openForUpdate(path));
        const [data, journal] = opened as [FileHandle, FileHandle];
        const recorded = new Uint8Array(await journal.readFile());
        const same = options.resume && header.every((byte, index) => recorded[index] === byte);
        const resumed = same ? await recover(data, recorded.subarray(header.length), options.signal) : NOTHING;
        const present = same ? Math.min(size, (await data.stat()).size) : 0;
        if (!same) await data.truncate(0);
        await journal.truncate(header.length + resumed.chunks.length);
        await writeAll(journal, header, 0);
        return new PartialFile({ paths, header, data, journal, release, present }, publish, resumed);
      } catch (error) {
        await Promise.all(opened.map((handle) => handle.close()));
        await release();
        throw error;
      }
    });
  }

  takeUnchecked(): number {
    if (this.#position === this.resumed.bytes) this.#position = Math.max(this.#position, this.#present);
    return this.#position;
  }

  async *written(): AsyncGenerator<Uint8Array> {
    const end = this.#position;
    if (end === 0) return;
    yield* createReadStream(this.#paths.data, {
      highWaterMark: READ_BYTES,
      start: 0,
      end: end - 1,
    }) as AsyncIterable<Uint8Array>;
  }

  async write(bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    await diskErrors(this.#paths.data, async () => {
      await writeAll(this.#data, bytes, this.#position);
      this.#position += bytes.length;
      await writeAll(this.#journal, chunks, this.#journalPosition);
      this.#journalPosition += chunks.length;
    });
  }

  async restart(): Promise<void> {
    await diskErrors(this.#paths.data, async () => {
      await this.#journal.truncate(this.#header.length);
      await this.#data.truncate(0);
    });
    this.resumed = NOTHING;
    this.#present = 0;
    this.#position = 0;
    this.#journalPosition = this.#header.length;
  }

  async publish(): Promise<string> {
    return diskErrors(this.#paths.data, async () => {
      await this.#data.truncate(this.#position);
      await this.#closeFiles();
      const path = await this.#publish(this.#paths.data);
      await rm(this.#paths.journal, { force: true });
      return path;
    });
  }

  async close(): Promise<void> {
    await this.#closeFiles();
    if (this.#position === 0 && this.#present === 0) {
      await rm(this.#paths.data, { force: true });
      await rm(this.#paths.journal, { force: true });
    }
    await this.#release();
  }

  async #closeFiles(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([this.#data.close(), this.#journal.close()]);
  }
}

const NOTHING = { chunks: new Uint8Array(), bytes: 0 };

async function openForUpdate(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return open(path, 'wx+');
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

/** The longest prefix of the data whose chunks are what the journal says. */
async function recover(data: FileHandle, journal: Uint8Array, signal: AbortSignal) {
  const chunks = journal.subarray(0, Math.floor(journal.length / CHUNK_RECORD_BYTES) * CHUNK_RECORD_BYTES);
  const codec = await loadCodec();
  const good = new ChunkRecordList();
  let bytes = 0;
  for (let index = 0; index < chunkCount(chunks); index++) {
    signal.throwIfAborted();
    const length = chunkLength(chunks, index);
    // A damaged journal may name any length; no chunk is longer than this.
    if (length > MAX_CHUNK_BYTES) break;
    const chunk = new Uint8Array(length);
    const { bytesRead } = await data.read(chunk, 0, length, bytes);
    const record = chunkSlice(chunks, index, index + 1);
    if (bytesRead !== length || !codec.chunkHash(chunk).every((byte, at) => byte === record[at])) break;
    good.push(record);
    bytes += length;
  }
  return { chunks: good.records.slice(), bytes };
}
