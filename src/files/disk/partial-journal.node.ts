import { type DiskFile, open, rename, rm } from '../../fs/disk.node.ts';
import { hasEnded, markIn, ownMark } from '../../fs/process-mark.node.ts';
import { readBounded } from '../../fs/small-files.node.ts';
import { writeAll } from '../../fs/write-all.node.ts';
import { encodeEntry, type Left } from '../journal.ts';

/** Paths of an unfinished file and its notes. */
export interface Paths {
  data: string;
  journal: string;
  lock: string;
  /** Names that no other process uses. */
  own: string;
  ownJournal: string;
}

export const pathsOf = (stem: string, nonce: string): Paths => ({
  data: `${stem}.xetkit.incomplete`,
  journal: `${stem}.xetkit-journal.incomplete`,
  lock: `${stem}.xetkit-lock.incomplete`,
  own: `${stem}.${nonce}.xetkit.incomplete`,
  ownJournal: `${stem}.${nonce}.xetkit-journal.incomplete`,
});

/** Length of the line that names the writer: spaces if nobody has the file open. */
const WRITER_BYTES = 512;
export const NOBODY = new TextEncoder().encode(`${' '.repeat(WRITER_BYTES - 1)}\n`);
export const entriesStart = (header: Uint8Array) => header.length + WRITER_BYTES;

async function writerLine(): Promise<Uint8Array> {
  const line = new Uint8Array(NOBODY);
  const text = new TextEncoder().encode(JSON.stringify(await ownMark()));
  // One that is cut off names nobody that could be found to have ended.
  line.set(text.subarray(0, WRITER_BYTES - 1));
  return line;
}

/** Reads a journal; undefined if it is about another file. */
export async function readJournal(
  path: string,
  header: Uint8Array,
): Promise<{ entries: Uint8Array; isFree: boolean } | undefined> {
  const content = (await readBounded(path, MAX_JOURNAL_BYTES))?.bytes;
  if (!content || content.length < entriesStart(header)) return undefined;
  if (!header.every((byte, index) => content[index] === byte)) return undefined;
  const writer = new TextDecoder().decode(content.subarray(header.length, entriesStart(header))).trim();
  return { entries: content.subarray(entriesStart(header)), isFree: writer === '' || (await isGone(writer)) };
}

/** Limit of a journal. The journal of a file of 8 TB is shorter. */
const MAX_JOURNAL_BYTES = 4 * 1024 ** 3 - 1;

async function isGone(writer: string): Promise<boolean> {
  try {
    const mark = markIn(JSON.parse(writer));
    return mark !== undefined && (await hasEnded(mark));
  } catch {
    return false;
  }
}

/** In one step, so that a kill meanwhile loses nothing of what the old one knew. */
export async function writeJournal(
  { journal: path, ownJournal }: Paths,
  header: Uint8Array,
  { held, unchecked }: Left,
): Promise<{ journal: DiskFile; end: number }> {
  const entries = [
    ...held.map(({ start, end, chunks }) => encodeEntry(start, end - start, chunks)),
    ...unchecked.map(({ start, end }) => encodeEntry(start, end - start, new Uint8Array())),
  ];
  const content = Buffer.concat([header, await writerLine(), ...entries]);
  const journal = await open(ownJournal, 'wx+');
  try {
    await writeAll(journal, content, 0);
    await rename(ownJournal, path);
    return { journal, end: content.length };
  } catch (error) {
    await journal.close();
    await rm(ownJournal, { force: true });
    throw error;
  }
}
