import { crc32 } from 'node:zlib';
import { CHUNK_RECORD_BYTES, type ChunkRecords, chunkLength } from '../../core/chunks.ts';

/** Consecutive whole frames of a xorb that are stored and checked together. */
export interface StoredRun {
  /** Index of the first chunk. */
  firstChunk: number;
  /** Byte offset of the first frame in the xorb. */
  start: number;
  /** Offset behind each frame, from `start`. */
  ends: Uint32Array;
  chunks: ChunkRecords;
  /** CRC-32 of the frames. */
  crc: number;
}

/** Position in a xorb, as a byte or as a chunk. */
export type RunUnit = 'bytes' | 'chunks';

const HEAD_BYTES = 20;
const CHUNK_BYTES = CHUNK_RECORD_BYTES + 4;
const MAX_RUN_CHUNKS = 8192;

export function runStart(run: StoredRun, unit: RunUnit): number {
  return unit === 'bytes' ? run.start : run.firstChunk;
}

export function runEnd(run: StoredRun, unit: RunUnit): number {
  return unit === 'bytes' ? run.start + (run.ends.at(-1) ?? 0) : run.firstChunk + run.ends.length;
}

/** The run that covers a position, in a list that is sorted and without overlaps. */
export function findRun(runs: readonly StoredRun[], unit: RunUnit, at: number): StoredRun | undefined {
  let low = 0;
  for (let high = runs.length; low < high; ) {
    const middle = (low + high) >> 1;
    const run = runs[middle] as StoredRun;
    if (runEnd(run, unit) <= at) low = middle + 1;
    else high = middle;
  }
  const run = runs[low];
  return run && runStart(run, unit) <= at ? run : undefined;
}

/** Inserts a run at its place. One that overlaps others is left out: what is there already stays. */
export function insertRun(runs: StoredRun[], run: StoredRun): boolean {
  let at = runs.length;
  while (at > 0 && (runs[at - 1] as StoredRun).start > run.start) at--;
  const before = runs[at - 1];
  const after = runs[at];
  const overlaps =
    (before && (runEnd(before, 'bytes') > run.start || runEnd(before, 'chunks') > run.firstChunk)) ||
    (after && (runEnd(run, 'bytes') > after.start || runEnd(run, 'chunks') > after.firstChunk));
  if (overlaps) return false;
  runs.splice(at, 0, run);
  return true;
}

/** Unpacked bytes of the chunks before `chunk` in a run. */
export function unpackedBefore(run: StoredRun, chunk: number): number {
  let sum = 0;
  for (let index = 0; index < chunk - run.firstChunk; index++) sum += chunkLength(run.chunks, index);
  return sum;
}

/** An entry of a xorb's index. */
export function encodeRun(run: StoredRun): Buffer {
  const count = run.ends.length;
  const bytes = Buffer.alloc(HEAD_BYTES + count * CHUNK_BYTES);
  bytes.writeUInt32LE(run.firstChunk, 4);
  bytes.writeUInt32LE(run.start, 8);
  bytes.writeUInt32LE(count, 12);
  bytes.writeUInt32LE(run.crc, 16);
  run.ends.forEach((end, index) => {
    bytes.writeUInt32LE(end, HEAD_BYTES + index * 4);
  });
  bytes.set(run.chunks, HEAD_BYTES + count * 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/** The entries of an index up to the first that is damaged or cut off, and the bytes that they take. */
export function decodeRuns(bytes: Buffer): { runs: StoredRun[]; length: number } {
  const runs: StoredRun[] = [];
  let at = 0;
  while (at + HEAD_BYTES <= bytes.length) {
    const count = bytes.readUInt32LE(at + 12);
    const end = at + HEAD_BYTES + count * CHUNK_BYTES;
    if (count === 0 || count > MAX_RUN_CHUNKS || end > bytes.length) break;
    if (crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32LE(at)) break;
    const ends = Uint32Array.from({ length: count }, (_, index) => bytes.readUInt32LE(at + HEAD_BYTES + index * 4));
    const chunks = new Uint8Array(bytes.subarray(at + HEAD_BYTES + count * 4, end));
    const [firstChunk, start, crc] = [4, 8, 16].map((offset) => bytes.readUInt32LE(at + offset)) as [
      number,
      number,
      number,
    ];
    insertRun(runs, { firstChunk, start, ends, chunks, crc });
    at = end;
  }
  return { runs, length: at };
}
