import { ChunkRecordList, type ChunkRecords, chunkCount, chunkLength, chunkSlice, joinBytes } from '../core/chunks.ts';
import type { ChunkPlace } from './file-terms.ts';

/** Chunks of a block that go into one xorb. */
export interface FreshPart {
  xorb: number;
  data: Uint8Array;
  records: ChunkRecords;
}

/** The chunks at some positions, by the xorb that they go into. Where those are all, `bytes` is theirs. */
export function freshParts(
  bytes: Uint8Array,
  chunks: ChunkRecords,
  places: readonly ChunkPlace[],
  fresh: readonly number[],
): FreshPart[] {
  const starts = [0];
  for (let position = 0; position < chunkCount(chunks); position++) {
    starts.push((starts[position] ?? 0) + chunkLength(chunks, position));
  }
  const groups = new Map<number, number[]>();
  for (const position of fresh) {
    const xorb = Number(places[position]?.xorb);
    const group = groups.get(xorb);
    if (group) group.push(position);
    else groups.set(xorb, [position]);
  }
  return [...groups].map(([xorb, positions]) => {
    if (positions.length === chunkCount(chunks)) return { xorb, data: bytes, records: chunks.slice() };
    const records = new ChunkRecordList();
    const runs = positions.map((position) => {
      records.push(chunkSlice(chunks, position, position + 1));
      return bytes.subarray(starts[position], starts[position + 1]);
    });
    return { xorb, data: joinBytes(runs), records: records.records.slice() };
  });
}
