import type { DiskFile } from './disk.node.ts';

/** Writes all of the bytes at a place in the file, however many calls that takes. */
export async function writeAll(handle: DiskFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
