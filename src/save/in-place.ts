import type { SyncAccessHandle } from './opfs.ts';

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
