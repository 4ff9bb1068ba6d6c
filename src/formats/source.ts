import { XetError } from '../core/errors.ts';

/** Random access to bytes: a `XetFile`, or a small wrapper around a `Blob` or a file on disk. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /** Reads the bytes from `start` to `end` (excluded), a range within the size. */
  read(start: number, end: number, options?: { signal?: AbortSignal }): Promise<Uint8Array>;
}

/** Options of format readers. */
export interface ReadFormatOptions {
  /** Aborts reading: the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Checks the arguments of a format reader. @throws {XetError} `INVALID_ARGUMENT` */
export function checkSource(call: string, source: ByteSource, options: unknown): void {
  if (typeof source?.read !== 'function' || !Number.isSafeInteger(source.size)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `${call} takes a source with size and read(start, end), such as an opened file.`,
    );
  }
  if (typeof options !== 'object' || options === null) {
    throw new XetError('INVALID_ARGUMENT', `${call} takes its options in one object.`);
  }
}

/** Reads a range of a source, and checks its length. */
export async function readBytes(
  source: ByteSource,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const bytes = await source.read(start, end, signal && { signal });
  if (bytes.length === end - start) return bytes;
  throw new XetError('PROTOCOL', `The source returned ${bytes.length} of ${end - start} bytes at offset ${start}.`);
}

/** The start of a name from a file, short enough for a message. */
export function abbreviate(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100)}…` : name;
}

/** The error for a file that violates its format. */
export function malformed(format: string, problem: string, cause?: unknown): XetError {
  return new XetError('PROTOCOL', `Not a valid ${format} file: ${problem}.`, { cause });
}
