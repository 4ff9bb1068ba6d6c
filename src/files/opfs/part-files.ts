import { Codec } from '../../codec/codec.ts';
import { ChunkRecordList, type ChunkRecords } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import { type ByteRange, lengthOf } from '../../core/ranges.ts';
import { SerialQueue } from '../../core/serial-queue.ts';
import {
  copyInto,
  type FileHandle,
  fileIn,
  folderAt,
  namesIn,
  opfsRoot,
  removeFrom,
  unfinished,
} from '../../fs/opfs.ts';
import { storageErrors } from '../../fs/storage-error.ts';
import { rightParts } from '../journal.ts';
import type { FileSink, HeldPart } from '../place.ts';
import type { OpfsSinkParts } from './partial-data.ts';

/** A part is closed, and so kept, when it has this many bytes: a reload costs up to as much for each that is open. */
const PART_BYTES = 2 * 1024 * 1024;
/** Parts that are open at once. Of more connections each makes smaller parts. */
const MAX_OPEN = 4;
const READ_BYTES = 1024 * 1024;
/** Says what all of it is a part of. */
const HEADER_NAME = 'of';
/** The end of a part: how long its chunk records are, as a 32-bit number. */
const TRAILER_BYTES = 4;

interface OpenPart {
  start: number;
  end: number;
  stream: FileSystemWritableFileStream;
  records: ChunkRecordList;
  /** True if its chunks are unknown. */
  plain: boolean;
}

interface ClosedPart extends ByteRange {
  file: FileHandle;
}

/**
 * A file on its way, in files of a few megabytes: for places that have no dedicated worker to write in place, such as
 * service workers. Each part lands as a whole when it is closed. In the end they are copied into one file, which needs
 * their room twice: the price of landing at once.
 */
export class PartFiles implements FileSink {
  readonly #path: string;
  readonly #parts: OpfsSinkParts;
  readonly #parent: FileSystemDirectoryHandle;
  readonly #folder: FileSystemDirectoryHandle;
  readonly #turns = new SerialQueue();
  held: HeldPart[] = [];
  unchecked: ByteRange[] = [];
  #open: OpenPart[] = [];
  #closed: ClosedPart[] = [];

  private constructor(
    path: string,
    parts: OpfsSinkParts,
    parent: FileSystemDirectoryHandle,
    folder: FileSystemDirectoryHandle,
  ) {
    this.#path = path;
    this.#parts = parts;
    this.#parent = parent;
    this.#folder = folder;
  }

  static async open(path: string, parts: OpfsSinkParts): Promise<PartFiles> {
    if (typeof FileSystemFileHandle === 'undefined' || !('createWritable' in FileSystemFileHandle.prototype)) {
      throw new XetError('UNSUPPORTED', 'This browser writes files in dedicated workers only, and there is none here.');
    }
    const { folders, name, header, resume } = parts.spec;
    const parent = await folderAt(await opfsRoot(), folders, true);
    const { parts: folderName } = unfinished(name);
    const found = await parent.getDirectoryHandle(folderName, { create: true });
    const isSame = resume && (await hasHeader(found, header));
    if (!isSame) await removeFrom(parent, folderName);
    const folder = isSame ? found : await parent.getDirectoryHandle(folderName, { create: true });
    const files = new PartFiles(path, parts, parent, folder);
    if (isSame) await files.#recover();
    else await writeWhole(await folder.getFileHandle(HEADER_NAME, { create: true }), header);
    return files;
  }

  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; ) {
      const from = at;
      const part = await this.#guarded(() => this.#closedAt(from));
      const until = Math.min(end, part.end, at + READ_BYTES);
      const bytes = (await part.file.getFile()).slice(at - part.start, until - part.start);
      yield new Uint8Array(await bytes.arrayBuffer());
      at = until;
    }
  }

  write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    return this.#guarded(async () => {
      const part = await this.#partFor(at, chunks.length === 0);
      part.end += bytes.length;
      part.records.push(chunks);
      await part.stream.write(bytes.slice());
      if (part.end - part.start >= PART_BYTES) await this.#land(part);
    });
  }

  async restart(): Promise<void> {
    await this.#guarded(async () => {
      for (const part of this.#open.splice(0)) await part.stream.abort().catch(() => undefined);
      for (const name of await namesIn(this.#folder)) if (name !== HEADER_NAME) await removeFrom(this.#folder, name);
    });
    this.#closed = [];
    this.held = [];
    this.unchecked = [];
  }

  publish(): Promise<string> {
    return this.#guarded(async () => {
      await this.#landAll();
      const { size, name } = this.#parts.spec;
      const inOrder = this.#closed.sort((a, b) => a.start - b.start);
      const fits = inOrder.every(({ start }, index) => start === (inOrder[index - 1]?.end ?? 0));
      if (!fits || lengthOf(inOrder) !== size) throw this.#inconsistent();
      const blobs: Blob[] = [];
      for (const { file, start, end } of inOrder) blobs.push((await file.getFile()).slice(0, end - start));
      const whole = await this.#parent.getFileHandle(unfinished(name).data, { create: true });
      await copyInto({ getFile: async () => new File(blobs, name) }, whole, this.#parts.signal);
      const path = await this.#parts.publish(whole);
      await removeFrom(this.#parent, unfinished(name).parts);
      return path;
    });
  }

  close(): Promise<void> {
    return this.#guarded(async () => {
      await this.#landAll();
      if (this.#closed.length === 0) await removeFrom(this.#parent, unfinished(this.#parts.spec.name).parts);
    });
  }

  async #partFor(at: number, plain: boolean): Promise<OpenPart> {
    const going = this.#open.find((part) => part.end === at && part.plain === plain);
    if (going) {
      this.#open = [...this.#open.filter((part) => part !== going), going];
      return going;
    }
    const [oldest] = this.#open;
    if (this.#open.length === MAX_OPEN && oldest) await this.#land(oldest);
    const file = await this.#folder.getFileHandle(String(at), { create: true });
    const stream = await file.createWritable();
    const begun = { start: at, end: at, stream, records: new ChunkRecordList(), plain };
    this.#open.push(begun);
    return begun;
  }

  /** Closes a part: from then on it is kept. */
  async #land(part: OpenPart): Promise<void> {
    this.#open = this.#open.filter((one) => one !== part);
    const records = part.records.records.slice();
    const trailer = new Uint8Array(TRAILER_BYTES);
    new DataView(trailer.buffer).setUint32(0, records.length, true);
    await part.stream.write(records);
    await part.stream.write(trailer);
    await part.stream.close();
    const file = await this.#folder.getFileHandle(String(part.start));
    this.#closed.push({ start: part.start, end: part.end, file });
  }

  async #landAll(): Promise<void> {
    for (const part of [...this.#open]) await this.#land(part);
  }

  async #closedAt(at: number): Promise<ClosedPart> {
    const isIn = ({ start, end }: ByteRange) => start <= at && at < end;
    const open = this.#open.find(isIn);
    if (open) await this.#land(open);
    const part = this.#closed.find(isIn);
    if (!part) throw this.#inconsistent();
    return part;
  }

  #inconsistent(): XetError {
    return new XetError('CACHE', `The parts of '${this.#path}' do not fit together; save it again with force.`);
  }

  /** Takes what earlier tries left, as far as it is what it was. */
  async #recover(): Promise<void> {
    const codec = await Codec.load();
    const found: (ClosedPart & { chunks: ChunkRecords })[] = [];
    for (const name of await namesIn(this.#folder)) {
      if (name === HEADER_NAME) continue;
      this.#parts.signal.throwIfAborted();
      const part = await readPart(await this.#folder.getFileHandle(name), Number(name), this.#parts.spec.size);
      const [held, ...more] =
        part && part.chunks.length > 0 ? rightParts(codec, part.bytes, part.start, part.chunks) : [];
      const isRight = part && (part.chunks.length === 0 || (more.length === 0 && held?.end === part.end));
      // Part of a part is of no use: in the end they are put together as they are.
      if (isRight) found.push({ start: part.start, end: part.end, file: part.file, chunks: part.chunks });
      else await removeFrom(this.#folder, name);
    }
    let last = 0;
    for (const { chunks, ...part } of found.sort((a, b) => a.start - b.start)) {
      if (part.start < last) {
        await removeFrom(this.#folder, String(part.start));
        continue;
      }
      last = part.end;
      this.#closed.push(part);
      if (chunks.length > 0) this.held.push({ start: part.start, end: part.end, chunks });
      else this.unchecked.push({ start: part.start, end: part.end });
    }
  }

  #guarded<T>(run: () => Promise<T>): Promise<T> {
    return storageErrors(this.#path, this.#parts.spec.size, () => this.#turns.run(run));
  }
}

async function readPart(file: FileHandle, start: number, size: number) {
  const content = new Uint8Array(await (await file.getFile()).arrayBuffer());
  const dataEnd = content.length - TRAILER_BYTES;
  if (!Number.isSafeInteger(start) || dataEnd <= 0) return undefined;
  const recordBytes = new DataView(content.buffer).getUint32(dataEnd, true);
  const end = start + dataEnd - recordBytes;
  if (end <= start || end > size) return undefined;
  const bytes = content.subarray(0, end - start);
  return { file, start, end, bytes, chunks: content.slice(bytes.length, dataEnd) };
}

async function hasHeader(folder: FileSystemDirectoryHandle, header: Uint8Array): Promise<boolean> {
  const file = await fileIn(folder, HEADER_NAME);
  const content = file && new Uint8Array(await (await file.getFile()).arrayBuffer());
  return content?.length === header.length && header.every((byte, index) => content[index] === byte);
}

async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  const stream = await file.createWritable();
  await stream.write(bytes.slice());
  await stream.close();
}
