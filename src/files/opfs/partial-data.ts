import type { SpawnWorker } from '../../../workers/spawn.ts';
import { Codec } from '../../codec/codec.ts';
import type { ChunkRecords } from '../../core/chunks.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { isTaken, openInPlace, readInto, writeAll } from '../../fs/in-place.ts';
import { type FileHandle, folderAt, opfsRoot, removeFrom, type SyncAccessHandle, unfinished } from '../../fs/opfs.ts';
import { decodeEntries, encodeEntry, type JournalEntry, type Left, rightParts, withoutOverlaps } from '../journal.ts';

/** Identity and location of a partial file. */
export interface PartialSpec {
  folders: string[];
  /** Of the file that it will be. */
  name: string;
  /** Identity of the file it belongs to; another identity makes it useless. */
  header: Uint8Array;
  /** Of the whole file, in bytes. */
  size: number;
  /** False begins anew. */
  resume: boolean;
}

/** A file on its way, wherever it is that it is written. */
export interface PartialStore {
  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void>;
  /** The bytes of a range that was written. */
  read(range: ByteRange): Promise<Uint8Array>;
  restart(): Promise<void>;
  /** Closes a file that is whole. */
  finish(): Promise<void>;
  /** Closes what is not; it stays for the next try, if there is anything in it. */
  close(): Promise<void>;
}

/** A handle of a page that is gone is let go of a moment later. */
const LET_GO_MS = 5000;
const LET_GO_STEP_MS = 50;
/** Hashed again without others having a turn, in bytes. */
const TURN_BYTES = 16 * 1024 * 1024;

/**
 * A file on its way in the page's own storage, with a journal of what it holds where: as on disks, bytes are written
 * before the journal names them, and chunks that it names are hashed again before they are believed. So reloads and
 * crashes cost only what was not yet written.
 *
 * Runs in dedicated workers, as only these write in place. What a page itself writes goes to a copy that lands when it is
 * closed, so that a reload would lose all of it.
 */
export class PartialData implements PartialStore {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #spec: PartialSpec;
  readonly #data: SyncAccessHandle;
  readonly #journal: SyncAccessHandle;
  #journalEnd: number;
  /** True if it holds data that another attempt could use. */
  #useful: boolean;
  #closed = false;

  private constructor(
    folder: FileSystemDirectoryHandle,
    spec: PartialSpec,
    handles: { data: SyncAccessHandle; journal: SyncAccessHandle },
    journalEnd: number,
  ) {
    this.#folder = folder;
    this.#spec = spec;
    this.#data = handles.data;
    this.#journal = handles.journal;
    this.#journalEnd = journalEnd;
    this.#useful = journalEnd > spec.header.length;
  }

  /** Opens what an earlier try left, or begins anew; throws at once if there is no room for the whole. */
  static async open(spec: PartialSpec): Promise<{ store: PartialData; left: Left }> {
    const folder = await folderAt(await opfsRoot(), spec.folders, true);
    const names = unfinished(spec.name);
    const opened: SyncAccessHandle[] = [];
    let entries: JournalEntry[] = [];
    const open = async (name: string) => {
      const handle = await openWhenFree(await folder.getFileHandle(name, { create: true }));
      opened.push(handle);
      return handle;
    };
    try {
      const handles = { data: await open(names.data), journal: await open(names.journal) };
      if (spec.resume) entries = readJournal(handles.journal, spec);
      const left = await recover(handles.data, entries);
      const journalEnd = entries.reduce((sum, { chunks }) => sum + ENTRY_BYTES + chunks.length, spec.header.length);
      if (entries.length === 0) {
        handles.data.truncate(0);
        handles.journal.truncate(0);
        writeAll(handles.journal, spec.header, 0);
      }
      // What comes behind the last good entry makes no sense, and would hide what is written next.
      handles.journal.truncate(journalEnd);
      checkRoom(handles.data, spec.size);
      return { store: new PartialData(folder, spec, handles, journalEnd), left };
    } catch (error) {
      for (const handle of opened) handle.close();
      // What another tab has open cannot be removed, and is not.
      if (entries.length === 0) for (const name of [names.data, names.journal]) await removeFrom(folder, name);
      throw error;
    }
  }

  async write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    writeAll(this.#data, bytes, at);
    const entry = encodeEntry(at, bytes.length, chunks);
    writeAll(this.#journal, entry, this.#journalEnd);
    this.#journalEnd += entry.length;
    this.#useful = true;
  }

  async read({ start, end }: ByteRange): Promise<Uint8Array> {
    return readAll(this.#data, start, end - start);
  }

  async restart(): Promise<void> {
    this.#journal.truncate(this.#spec.header.length);
    this.#data.truncate(0);
    this.#journalEnd = this.#spec.header.length;
    this.#useful = false;
  }

  async finish(): Promise<void> {
    this.#data.truncate(this.#spec.size);
    this.#data.flush();
    this.#closeHandles();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closeHandles();
    if (this.#useful) return;
    const { data, journal } = unfinished(this.#spec.name);
    await removeFrom(this.#folder, data);
    await removeFrom(this.#folder, journal);
  }

  #closeHandles(): void {
    this.#closed = true;
    this.#data.close();
    this.#journal.close();
  }
}

/** Bytes of an entry before its chunks. */
const ENTRY_BYTES = 16;

async function openWhenFree(file: FileHandle): Promise<SyncAccessHandle> {
  for (let waited = 0; ; waited += LET_GO_STEP_MS) {
    try {
      return await openInPlace(file);
    } catch (error) {
      if (!isTaken(error) || waited >= LET_GO_MS) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LET_GO_STEP_MS));
  }
}

function readAll(file: SyncAccessHandle, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, readInto(file, at, bytes));
}

/**
 * Nobody wants to hear at the end of a download that there is no room. The file is not left at its full length, or what
 * a closed tab leaves would count as if it had been fetched.
 */
function checkRoom(data: SyncAccessHandle, size: number): void {
  const now = data.getSize();
  if (size <= now) return;
  data.truncate(size);
  data.truncate(now);
}

/** Entries of a journal, if it belongs to the same file. */
function readJournal(journal: SyncAccessHandle, { header, size }: PartialSpec): JournalEntry[] {
  const content = readAll(journal, 0, journal.getSize());
  if (!header.every((byte, index) => content[index] === byte)) return [];
  return decodeEntries(content.subarray(header.length), size);
}

/** Journal entries that match the data. */
async function recover(data: SyncAccessHandle, entries: readonly JournalEntry[]): Promise<Left> {
  const left: Left = { held: [], unchecked: [] };
  const present = data.getSize();
  const codec = entries.length > 0 ? await Codec.load() : undefined;
  let sinceTurn = 0;
  for (const { start, end, chunks } of withoutOverlaps(entries)) {
    if (start >= present || !codec) continue;
    if (chunks.length === 0) {
      left.unchecked.push({ start, end: Math.min(end, present) });
      continue;
    }
    for (const part of rightParts(codec, readAll(data, start, end - start), start, chunks)) left.held.push(part);
    sinceTurn += end - start;
    if (sinceTurn < TURN_BYTES) continue;
    sinceTurn = 0;
    await new Promise((resolve) => setTimeout(resolve));
  }
  return left;
}

export interface OpfsSinkParts {
  spec: PartialSpec;
  spawnWorker: SpawnWorker | undefined;
  signal: AbortSignal;
  /** Puts a file that is whole where it belongs and gives its path. */
  publish: (finished: FileHandle) => Promise<string>;
}
