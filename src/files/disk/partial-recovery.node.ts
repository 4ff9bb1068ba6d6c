import type { Codec } from '../../codec/codec.ts';
import { loadCodec } from '../../codec/load.node.ts';
import type { ByteRange } from '../../core/ranges.ts';
import { type DiskFile, open, rename, rm } from '../../fs/disk.node.ts';
import { isOutOfSpace } from '../../fs/disk-errors.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import { openToUpdate } from '../../fs/small-files.node.ts';
import { writeAll } from '../../fs/write-all.node.ts';
import { decodeEntries, type JournalEntry, type Left, rightParts, withoutOverlaps } from '../journal.ts';
import type { HeldPart } from '../place.ts';
import { type Paths, readJournal } from './partial-journal.node.ts';

const READ_BYTES = 1024 * 1024;

const NOTHING: Left = { held: [], unchecked: [] };

/** A file to write to that no other process has open, with what earlier tries left. */
export async function openData(
  paths: Paths,
  header: Uint8Array,
  size: number,
  { resume, signal }: { resume: boolean; signal: AbortSignal },
): Promise<{ file: DiskFile; left: Left }> {
  const journal = resume ? await readJournal(paths.journal, header) : undefined;
  const old = journal && (await openLeft(paths.data));
  if (!journal || !old) return { file: await createAnew(paths.data), left: NOTHING };
  const opened = [old];
  let taken: DiskFile | undefined;
  try {
    let copy: DiskFile | undefined;
    if (!journal.isFree || !(await isOursAlone(old))) {
      copy = await open(paths.own, 'wx+');
      opened.push(copy);
    }
    const left = await recover(old, journal.entries, { size, signal, copy });
    if (left === NOTHING) return { file: await createAnew(paths.data), left };
    if (copy) await rename(paths.own, paths.data);
    taken = copy ?? old;
    return { file: taken, left };
  } catch (error) {
    // Two copies may not fit on the disk where one does.
    if (!isOutOfSpace(error)) throw error;
    return { file: await createAnew(paths.data), left: NOTHING };
  } finally {
    for (const handle of opened) if (handle !== taken) await handle.close();
    await rm(paths.own, { force: true });
  }
}

/** The file is a new one: whoever has the old one open writes to that. */
async function createAnew(path: string): Promise<DiskFile> {
  await rm(path, { force: true });
  return open(path, 'wx+');
}

async function openLeft(path: string): Promise<DiskFile | undefined> {
  // Nothing, a link, or a file of somebody else: none of them is what is left of a download.
  const handle = await ifPresent(() => openToUpdate(path));
  if (!handle || (await handle.stat()).isFile()) return handle;
  await handle.close();
  return undefined;
}

/** True if a file has one name only and belongs to this user: others could write to it at any time. */
async function isOursAlone(file: DiskFile): Promise<boolean> {
  const { nlink, uid } = await file.stat();
  return nlink === 1 && (process.geteuid?.() ?? uid) === uid;
}

interface RecoverParts {
  size: number;
  signal: AbortSignal;
  /** Gets what is recovered. */
  copy: DiskFile | undefined;
}

/** Journal entries that match the data. */
async function recover(data: DiskFile, journal: Uint8Array, { size, signal, copy }: RecoverParts): Promise<Left> {
  const present = (await data.stat()).size;
  const entries = withoutOverlaps(decodeEntries(journal, size)).filter(({ start }) => start < present);
  if (entries.length === 0) return NOTHING;
  const codec = await loadCodec();
  const held: HeldPart[] = [];
  const unchecked: ByteRange[] = [];
  for (const entry of entries) {
    const { start, end, chunks } = entry;
    if (chunks.length > 0) {
      held.push(...(await checkedParts(data, entry, codec, signal, copy)));
    } else {
      unchecked.push({ start, end: copy ? await copyRange(data, copy, entry, signal) : Math.min(end, present) });
    }
  }
  return { held, unchecked: unchecked.filter(({ start, end }) => start < end) };
}

/** Copies a range and returns the end of what was copied: the file may be shorter. */
async function copyRange(
  from: DiskFile,
  to: DiskFile,
  { start, end }: ByteRange,
  signal: AbortSignal,
): Promise<number> {
  const buffer = new Uint8Array(Math.min(READ_BYTES, end - start));
  for (let at = start; at < end; ) {
    signal.throwIfAborted();
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, end - at), at);
    if (bytesRead === 0) return at;
    await writeAll(to, buffer.subarray(0, bytesRead), at);
    at += bytesRead;
  }
  return end;
}

/** The runs of an entry's chunks that are in place. */
async function checkedParts(
  data: DiskFile,
  entry: JournalEntry,
  codec: Codec,
  signal: AbortSignal,
  copy: DiskFile | undefined,
): Promise<HeldPart[]> {
  const bytes = new Uint8Array(entry.end - entry.start);
  signal.throwIfAborted();
  const { bytesRead } = await data.read(bytes, 0, bytes.length, entry.start);
  const parts = rightParts(codec, bytes.subarray(0, bytesRead), entry.start, entry.chunks);
  if (copy) {
    for (const { start, end } of parts) {
      await writeAll(copy, bytes.subarray(start - entry.start, end - entry.start), start);
    }
  }
  return parts;
}
