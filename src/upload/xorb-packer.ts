import { ChunkRecordList, type ChunkRecords, chunkCount, chunkLength, chunkSlice, joinBytes } from '../core/chunks.ts';
import type { ChunkPlace } from './file-terms.ts';

/** Maximum size of a xorb. */
interface XorbLimits {
  /** Bytes of the serialized xorb if none of its chunks can be compressed. */
  maxBytes: number;
  maxChunks: number;
}

/** Xet protocol, xorb format: 64 MiB and 8,192 chunks. */
export const XORB_LIMITS: XorbLimits = { maxBytes: 64 * 1024 * 1024, maxChunks: 8192 };

/** Bytes that a chunk takes beside its data, however it is stored: its frame header. */
export const FRAME_OVERHEAD_BYTES = 8;

/** Place of a new chunk: the number of a xorb of this upload, counted from 0, and its chunk index. */
interface PackedPlace {
  xorb: number;
  index: number;
}

/**
 * Assigns chunks to xorbs in order, each xorb as full as possible. Frame headers count, because chunks that cannot be
 * compressed are stored as they are: 64 MiB of them plus headers would exceed the limit.
 */
export class XorbPacker {
  readonly #limits: XorbLimits;
  #xorb = 0;
  #chunks = 0;
  #bytes = 0;

  constructor(limits: XorbLimits = XORB_LIMITS) {
    this.#limits = limits;
  }

  /** The place of the next chunk. A new xorb number means that the xorb before is full. */
  next(length: number): PackedPlace {
    const bytes = length + FRAME_OVERHEAD_BYTES;
    const { maxBytes, maxChunks } = this.#limits;
    // A chunk larger than a xorb gets one of its own; real chunks are a 500th of it.
    if (this.#chunks > 0 && (this.#chunks === maxChunks || this.#bytes + bytes > maxBytes)) {
      this.#xorb++;
      this.#chunks = 0;
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    return { xorb: this.#xorb, index: this.#chunks++ };
  }
}

/** New chunks of a block that belong to one xorb. */
export interface NewChunks {
  xorb: number;
  data: Uint8Array;
  records: ChunkRecords;
}

/** Groups the chunks at these positions by their xorb. If they are all chunks of one xorb, `bytes` is used as it is. */
export function groupNewChunks(
  bytes: Uint8Array,
  chunks: ChunkRecords,
  places: readonly ChunkPlace[],
  positions: readonly number[],
): NewChunks[] {
  const starts = [0];
  for (let position = 0; position < chunkCount(chunks); position++) {
    starts.push((starts[position] ?? 0) + chunkLength(chunks, position));
  }
  const groups = new Map<number, number[]>();
  for (const position of positions) {
    const xorb = Number(places[position]?.xorb);
    const group = groups.get(xorb);
    if (group) group.push(position);
    else groups.set(xorb, [position]);
  }
  return [...groups].map(([xorb, members]) => {
    if (members.length === chunkCount(chunks)) return { xorb, data: bytes, records: chunks.slice() };
    const records = new ChunkRecordList();
    const runs = members.map((position) => {
      records.push(chunkSlice(chunks, position, position + 1));
      return bytes.subarray(starts[position], starts[position + 1]);
    });
    return { xorb, data: joinBytes(runs), records: records.records.slice() };
  });
}
