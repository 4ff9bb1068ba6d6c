import { isVerified, type Verified } from '../../core/content-hash.ts';
import { isCount, isRecord } from '../../core/json-values.ts';
import { fileIn, folderAt, opfsRoot } from '../../fs/opfs.ts';

/** Verification result of a file, and the properties that identify it. */
export interface SavedNote {
  etag: string;
  xetHash: string | null;
  size: number;
  /** At which it was asked for last. */
  commit: string;
  /** In milliseconds since 1970. */
  lastModified: number;
  verified: Verified;
}

/** Kinds of notes, each in a folder apart from application data. */
export type NoteKind = 'saved' | 'commits' | 'trees';

/** Note with a key. Only an optimisation: without it, servers are asked and files hashed again. */
export async function readNote(kind: NoteKind, key: string): Promise<string | undefined> {
  try {
    const file = await fileIn(await folderAt(await opfsRoot(), ['.xetkit', kind], false), await nameFor(key));
    return file && (await (await file.getFile()).text());
  } catch {
    return undefined;
  }
}

export async function writeNote(kind: NoteKind, key: string, text: string): Promise<void> {
  try {
    const folder = await folderAt(await opfsRoot(), ['.xetkit', kind], true);
    const stream = await (await folder.getFileHandle(await nameFor(key), { create: true })).createWritable();
    await stream.write(text);
    await stream.close();
  } catch {
    // Nothing is lost but time.
  }
}

/** Note on a file that was saved at a path. */
export async function readSaved(path: string): Promise<SavedNote | undefined> {
  const text = await readNote('saved', path);
  try {
    const note: unknown = text === undefined ? undefined : JSON.parse(text);
    return isSavedNote(note) ? note : undefined;
  } catch {
    return undefined;
  }
}

export function writeSaved(path: string, note: SavedNote): Promise<void> {
  return writeNote('saved', path, JSON.stringify(note));
}

function isSavedNote(note: unknown): note is SavedNote {
  if (!isRecord(note)) return false;
  const { etag, xetHash, size, commit, lastModified, verified } = note;
  const isText = [etag, commit, xetHash ?? ''].every((one) => typeof one === 'string');
  return isText && isCount(size) && typeof lastModified === 'number' && isVerified(verified);
}

/** Names have limits that keys have not. */
async function nameFor(key: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key)));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
