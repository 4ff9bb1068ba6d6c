import { XetError } from '../core/errors.ts';

/** Anything that can be read at any place: a `XetFile`, or a few lines around a `Blob` or a file on disk. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /** The bytes `start` (included) to `end` (excluded), which lie within the size. */
  read(start: number, end: number, options?: { signal?: AbortSignal }): Promise<Uint8Array>;
}

/** How to read. */
export interface ReadFormatOptions {
  /** Stops it: the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** A range of a source, checked: a source that gives another length is broken. */
export async function readBytes(
  source: ByteSource,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const bytes = await source.read(start, end, signal && { signal });
  if (bytes.length === end - start) return bytes;
  throw new XetError('PROTOCOL', `Asked for ${end - start} bytes from ${start} on, got ${bytes.length}.`);
}
