import type { CheckedChunks } from '../codec/codec.ts';
import { type ChunkRecords, chunkCount, chunkLength, chunkSlice } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { ResolvedFile } from '../hub/client.ts';
import { persistent } from './plain.ts';
import type { Read } from './read.ts';
import type { Transport } from './transport.ts';

/** Consecutive chunks of a file: where they begin in it, and their records. */
export interface ChunksInFile {
  start: number;
  records: ChunkRecords;
}

/** Chunks that are checked together, in bytes. */
const CHECKED_BYTES = 1024 * 1024;

/**
 * The bytes of a range over plain HTTP, each chunk checked against the recipe of the file before it is given. Chunks that are
 * wrong are fetched once more, past all caches; then it is `INTEGRITY`.
 *
 * @param around the chunks that overlap the range
 */
export async function* readPlainChecked(
  transport: Transport,
  read: Read,
  around: ChunksInFile,
): AsyncGenerator<Uint8Array, undefined, undefined> {
  const { file, range, signal } = read;
  const check = (bytes: Uint8Array, records: ChunkRecords) => transport.pool.checkChunks(bytes, records, signal);
  const parts = partsOf(around);
  const end = parts.at(-1)?.end ?? around.start;
  const fetched = persistent(transport, { ...read, range: { start: around.start, end } });
  let rest: Uint8Array = new Uint8Array();
  const take = async (part: ByteRange): Promise<Uint8Array> => {
    const bytes = new Uint8Array(part.end - part.start);
    for (let filled = 0; filled < bytes.length; ) {
      if (rest.length === 0) rest = (await fetched.next()).value ?? rest;
      const piece = rest.subarray(0, bytes.length - filled);
      bytes.set(piece, filled);
      filled += piece.length;
      rest = rest.subarray(piece.length);
    }
    return bytes;
  };
  try {
    for (const part of parts) {
      const isRight = ({ good }: CheckedChunks) => good === chunkCount(part.records);
      let checked = await check(await take(part), part.records);
      if (!isRight(checked)) {
        const again = persistent(transport, { ...read, range: part, policy: 'refetch' });
        checked = await check(await joined(again, part), part.records);
      }
      if (!isRight(checked)) throw corrupt(file, part);
      yield checked.bytes.subarray(
        Math.max(range.start, part.start) - part.start,
        Math.min(range.end, part.end) - part.start,
      );
    }
  } finally {
    await fetched.return();
  }
  return undefined;
}

/** Chunks in groups. */
function partsOf({ start, records }: ChunksInFile): (ByteRange & { records: ChunkRecords })[] {
  const parts: (ByteRange & { records: ChunkRecords })[] = [];
  const count = chunkCount(records);
  let at = start;
  for (let first = 0; first < count; ) {
    const from = at;
    let last = first;
    while (last < count && at - from < CHECKED_BYTES) at += chunkLength(records, last++);
    parts.push({ start: from, end: at, records: chunkSlice(records, first, last) });
    first = last;
  }
  return parts;
}

async function joined(runs: AsyncIterable<Uint8Array>, { start, end }: ByteRange): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  let at = 0;
  for await (const run of runs) {
    bytes.set(run, at);
    at += run.length;
  }
  return bytes;
}

function corrupt(file: ResolvedFile, { start, end }: ByteRange): XetError {
  // It may be what is wrong.
  file.beginning = undefined;
  return new XetError(
    'INTEGRITY',
    `Bytes ${start}–${end} of '${file.path}' came over plain HTTP with other content than the file had when it was verified. ` +
      'The server, or a proxy before it, gives wrong data.',
  );
}
