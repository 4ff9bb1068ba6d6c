import { createReadStream } from 'node:fs';
import { dirname } from 'node:path';
import { ChunkRecordList, type ChunkRecords, chunkCount, chunkLength, chunkSlice } from '../chunks.ts';
import type { Codec } from '../codec/codec.ts';
import { loadCodec } from '../codec.node.ts';
import { type DiskFile, open, rename, rm, writeFile } from '../disk/disk.node.ts';
import type { Verified } from '../download/content-hash.ts';
import type { ByteRange } from '../ranges.ts';
import { diskErrors, makeFolder } from './disk-errors.node.ts';
import { decodeEntries, encodeEntry, type JournalEntry, withoutOverlaps } from './journal.ts';
import { acquireLock } from './lock.node.ts';
import type { FileSink, HeldPart } from './place.ts';
import { writeAll } from './write-all.node.ts';

/** What a partial file is a part of; one that says something else is of no use. */
export interface PartialIdentity {
  etag: string;
  size: number;
  xetHash: string | undefined;
}

export interface PartialFileOptions {
  signal: AbortSignal;
  onWait: () => void;
  resume: boolean;
}

type Publish = (finished: string, verified: Verified) => Promise<string>;

interface Paths {
  data: string;
  journal: string;
  lock: string;
}

interface Left {
  held: HeldPart[];
  unchecked: ByteRange[];
}

const READ_BYTES = 1024 * 1024;

/**
 * A file on its way, with a journal of what it holds where. Bytes are written before the journal names them,
 * and chunks that the journal names are hashed again before they are believed, so that a kill at any moment costs
 * only what was not yet written.
 */
export class PartialFile implements FileSink {
  readonly #paths: Paths;
  readonly #header: Uint8Array;
  readonly #size: number;
  readonly #data: DiskFile;
  readonly #journal: DiskFile;
  readonly #release: () => Promise<void>;
  readonly #publish: Publish;
  held: HeldPart[];
  unchecked: ByteRange[];
  #journalEnd: number;
  /** Journal entries are written one after the other: a gap would hide what lies behind it. */
  #noting: Promise<void> = Promise.resolve();
  /** Whether it has anything that another try could use. */
  #useful: boolean;
  #closed = false;

  private constructor(
    parts: {
      paths: Paths;
      header: Uint8Array;
      size: number;
      data: DiskFile;
      journal: DiskFile;
      journalEnd: number;
      release: () => Promise<void>;
    },
    publish: Publish,
    { held, unchecked }: Left,
  ) {
    this.#paths = parts.paths;
    this.#header = parts.header;
    this.#size = parts.size;
    this.#data = parts.data;
    this.#journal = parts.journal;
    this.#journalEnd = parts.journalEnd;
    this.#release = parts.release;
    this.#publish = publish;
    this.held = held;
    this.unchecked = unchecked;
    this.#useful = held.length + unchecked.length > 0;
  }

  /** @param stem path of the partial file without its endings. */
  static open(
    stem: string,
    identity: PartialIdentity,
    options: PartialFileOptions,
    publish: Publish,
  ): Promise<PartialFile> {
    const paths = {
      data: `${stem}.xetkit.incomplete`,
      journal: `${stem}.xetkit-journal.incomplete`,
      lock: `${stem}.xetkit-lock.incomplete`,
    };
    return diskErrors(paths.data, async () => {
      await makeFolder(dirname(stem));
      const release = await acquireLock(paths.lock, options);
      const opened: DiskFile[] = [];
      try {
        const { etag, size, xetHash } = identity;
        const header = new TextEncoder().encode(
          `${JSON.stringify({ xetkit: 2, etag, size, xetHash: xetHash ?? null })}\n`,
        );
        const data = await openForUpdate(paths.data);
        opened.push(data);
        const recorded = options.resume ? await readJournal(paths.journal, header) : undefined;
        const left = recorded ? await recover(data, recorded, size, options.signal) : NOTHING;
        if (left === NOTHING) await setLength(data, 0);
        const journalEnd = await writeJournal(paths.journal, header, left);
        const journal = await open(paths.journal, 'r+');
        opened.push(journal);
        return new PartialFile({ paths, header, size, data, journal, journalEnd, release }, publish, left);
      } catch (error) {
        await Promise.all(opened.map((handle) => handle.close()));
        await release();
        throw error;
      }
    });
  }

  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    if (start >= end) return;
    yield* createReadStream(this.#paths.data, {
      highWaterMark: READ_BYTES,
      start,
      end: end - 1,
    }) as AsyncIterable<Uint8Array>;
  }

  async write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    await diskErrors(this.#paths.data, async () => {
      await writeAll(this.#data, bytes, at);
      this.#useful = true;
      const entry = encodeEntry(at, bytes.length, chunks);
      const position = this.#journalEnd;
      this.#journalEnd += entry.length;
      const noted = this.#noting.then(() => writeAll(this.#journal, entry, position));
      // Whoever wrote before has been told of his failure; this one still has to try.
      this.#noting = noted.catch(() => undefined);
      await noted;
    });
  }

  async restart(): Promise<void> {
    await this.#noting;
    await diskErrors(this.#paths.data, async () => {
      await this.#journal.truncate(this.#header.length);
      await this.#data.truncate(0);
    });
    this.held = [];
    this.unchecked = [];
    this.#useful = false;
    this.#journalEnd = this.#header.length;
  }

  async publish(verified: Verified): Promise<string> {
    return diskErrors(this.#paths.data, async () => {
      await setLength(this.#data, this.#size);
      await this.#closeFiles();
      const path = await this.#publish(this.#paths.data, verified);
      await rm(this.#paths.journal, { force: true });
      return path;
    });
  }

  async close(): Promise<void> {
    await this.#closeFiles();
    if (!this.#useful) {
      await rm(this.#paths.data, { force: true });
      await rm(this.#paths.journal, { force: true });
    }
    await this.#release();
  }

  async #closeFiles(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#noting;
    await Promise.all([this.#data.close(), this.#journal.close()]);
  }
}

/**
 * Not without need: some file systems (ext4) write all of a file to the disk when one that was once cut to nothing is
 * closed, which takes longer than fetching it over a fast network.
 */
async function setLength(handle: DiskFile, bytes: number): Promise<void> {
  if ((await handle.stat()).size !== bytes) await handle.truncate(bytes);
}

const NOTHING: Left = { held: [], unchecked: [] };

async function openForUpdate(path: string): Promise<DiskFile> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return open(path, 'wx+');
  }
}

/** What a journal says behind its header, if it is about the same file. */
async function readJournal(path: string, header: Uint8Array): Promise<Uint8Array | undefined> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    const content = new Uint8Array(await handle.readFile());
    return header.every((byte, index) => content[index] === byte) ? content.subarray(header.length) : undefined;
  } finally {
    await handle.close();
  }
}

/** In one step, so that a kill meanwhile loses nothing of what the old one knew. */
async function writeJournal(path: string, header: Uint8Array, { held, unchecked }: Left): Promise<number> {
  const entries = [
    ...held.map(({ start, end, chunks }) => encodeEntry(start, end - start, chunks)),
    ...unchecked.map(({ start, end }) => encodeEntry(start, end - start, new Uint8Array())),
  ];
  const content = Buffer.concat([header, ...entries]);
  const fresh = `${path.slice(0, -'.incomplete'.length)}.new.incomplete`;
  await writeFile(fresh, content);
  await rename(fresh, path);
  return content.length;
}

/** What the journal says of the data, as far as the data agrees. */
async function recover(data: DiskFile, journal: Uint8Array, size: number, signal: AbortSignal): Promise<Left> {
  const present = (await data.stat()).size;
  const entries = withoutOverlaps(decodeEntries(journal, size)).filter(({ start }) => start < present);
  if (entries.length === 0) return NOTHING;
  const codec = await loadCodec();
  const held: HeldPart[] = [];
  for (const entry of entries) {
    if (entry.chunks.length > 0) held.push(...(await checkedParts(data, entry, codec, signal)));
  }
  const unchecked = entries
    .filter(({ chunks }) => chunks.length === 0)
    .map(({ start, end }) => ({ start, end: Math.min(end, present) }));
  return { held, unchecked };
}

/** The runs of an entry's chunks that are in place. */
async function checkedParts(
  data: DiskFile,
  entry: JournalEntry,
  codec: Codec,
  signal: AbortSignal,
): Promise<HeldPart[]> {
  const bytes = new Uint8Array(entry.end - entry.start);
  signal.throwIfAborted();
  const { bytesRead } = await data.read(bytes, 0, bytes.length, entry.start);
  const parts: HeldPart[] = [];
  const run = new ChunkRecordList();
  let runStart = 0;
  let at = 0;
  const cut = () => {
    if (run.count > 0)
      parts.push({ start: entry.start + runStart, end: entry.start + at, chunks: run.records.slice() });
    run.clear();
  };
  for (let index = 0; index < chunkCount(entry.chunks); index++) {
    const length = chunkLength(entry.chunks, index);
    const record = chunkSlice(entry.chunks, index, index + 1);
    const right =
      at + length <= bytesRead &&
      codec.chunkHash(bytes.subarray(at, at + length)).every((byte, place) => byte === record[place]);
    if (!right) cut();
    else {
      if (run.count === 0) runStart = at;
      run.push(record);
    }
    at += length;
    if (!right) runStart = at;
  }
  cut();
  return parts;
}
