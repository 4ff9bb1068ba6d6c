import { XetError } from '../core/errors.ts';

/** Access handle of a file in OPFS: a dedicated worker writes in place, exclusively. */
export interface SyncAccessHandle {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(bytes: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** A file handle with what only some browsers, or only workers, have of it. */
export type FileHandle = FileSystemFileHandle & {
  createSyncAccessHandle?: () => Promise<SyncAccessHandle>;
  move?: (folder: FileSystemDirectoryHandle, name: string) => Promise<void>;
};

/** A file in the page's own storage (the origin private file system). */
export interface OpfsPath {
  folders: string[];
  name: string;
}

/** Throws `INVALID_ARGUMENT` for text that names no file. */
export function parseOpfsPath(text: string): OpfsPath {
  const folders = text.split('/');
  const name = folders.pop() ?? '';
  const impossible = [...folders, name].find((part) => part === '' || part === '.' || part === '..');
  if (impossible !== undefined) throw new XetError('INVALID_ARGUMENT', `'${text.slice(0, 200)}' is not a valid path.`);
  return { folders, name };
}

/** The names under which a file lies while it is not whole. */
export const unfinished = (name: string) => ({
  data: `${name}.xetkit.incomplete`,
  journal: `${name}.xetkit-journal.incomplete`,
  parts: `${name}.xetkit-parts.incomplete`,
});

/** The page's own storage; throws `UNSUPPORTED` where it has none. */
export async function opfsRoot(): Promise<FileSystemDirectoryHandle> {
  const advice = 'Give a WritableStream, or read the file into memory.';
  if (typeof navigator === 'undefined' || !navigator.storage?.getDirectory) {
    throw new XetError(
      'UNSUPPORTED',
      `There is no storage for files here: it takes a page served over https. ${advice}`,
    );
  }
  try {
    return await navigator.storage.getDirectory();
  } catch (cause) {
    throw new XetError('UNSUPPORTED', `The browser keeps no files here, as in private windows. ${advice}`, { cause });
  }
}

export async function folderAt(
  root: FileSystemDirectoryHandle,
  folders: readonly string[],
  create: boolean,
): Promise<FileSystemDirectoryHandle> {
  let folder = root;
  for (const name of folders) folder = await folder.getDirectoryHandle(name, { create });
  return folder;
}

/** A file, if it is there. */
export async function fileIn(folder: FileSystemDirectoryHandle, name: string): Promise<FileHandle | undefined> {
  return folder.getFileHandle(name).catch((error: unknown) => {
    if (nameOf(error) === 'NotFoundError') return undefined;
    throw error;
  });
}

/** Removes an entry if it is there and can be removed; what is left is only in the way of nothing. */
export async function removeFrom(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  await folder.removeEntry(name, { recursive: true }).catch(() => undefined);
}

/** Names of all entries of a folder. */
export async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}

/** Gives a file its name in one step, in place of one that has it. */
export async function publishAs(
  file: FileHandle,
  folder: FileSystemDirectoryHandle,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  if (!file.move) return copyInto(file, await folder.getFileHandle(name, { create: true }), signal);
  try {
    await file.move(folder, name);
  } catch (error) {
    // Some take no name that is in use.
    if (!(await fileIn(folder, name))) throw error;
    await folder.removeEntry(name);
    await file.move(folder, name);
  }
}

/** Copies a file over another one, which has all of it at once or none. */
export async function copyInto(
  file: Pick<FileSystemFileHandle, 'getFile'>,
  target: Partial<Pick<FileSystemFileHandle, 'createWritable'>>,
  signal: AbortSignal,
): Promise<void> {
  if (!target.createWritable) throw new XetError('UNSUPPORTED', 'This browser can neither move nor write files here.');
  const stream = await target.createWritable();
  await (await file.getFile()).stream().pipeTo(stream, { signal });
}

export function nameOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'name' in error ? String(error.name) : '';
}
