import { type FileHandle, nameOf, type SyncAccessHandle } from './opfs.ts';

/** True if this thread can write files in place, which requires a dedicated worker. */
export const writesInPlace = (): boolean =>
  typeof FileSystemFileHandle !== 'undefined' && 'createSyncAccessHandle' in FileSystemFileHandle.prototype;

/** Chromium never answers a handle that was collected meanwhile, as one may be to which only the call itself refers. */
const inUse = new Set<object>();

/** Keeps a handle until what was asked of it is answered. */
export async function whileInUse<T>(handle: object, asked: Promise<T>): Promise<T> {
  inUse.add(handle);
  try {
    return await asked;
  } finally {
    inUse.delete(handle);
  }
}

/** Throws a `NoModificationAllowedError` while somebody else has it. */
export async function openInPlace(file: FileHandle): Promise<SyncAccessHandle> {
  if (!file.createSyncAccessHandle)
    throw new DOMException('Files cannot be written in place here', 'NotSupportedError');
  return whileInUse(file, file.createSyncAccessHandle());
}

/** True if an error means that the file is open elsewhere. */
export const isTaken = (error: unknown): boolean => /^NoModificationAllowed|^InvalidState/.test(nameOf(error));

/** Fills `into` from an offset on; gives how many bytes there were, which are fewer only where the file ends. */
export function readInto(file: SyncAccessHandle, at: number, into: Uint8Array): number {
  let filled = 0;
  while (filled < into.length) {
    const read = file.read(into.subarray(filled), { at: at + filled });
    if (read === 0) break;
    filled += read;
  }
  return filled;
}

/** Throws a `QuotaExceededError` where not all of it is taken. */
export function writeAll(file: SyncAccessHandle, bytes: Uint8Array, at: number): void {
  for (let written = 0; written < bytes.length; ) {
    const more = file.write(bytes.subarray(written), { at: at + written });
    if (more === 0) throw new DOMException('No more bytes are taken', 'QuotaExceededError');
    written += more;
  }
}
