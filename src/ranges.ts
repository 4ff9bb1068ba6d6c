/** Bytes `start` (included) to `end` (excluded). */
export interface ByteRange {
  start: number;
  end: number;
}

/** Chunk indices `start` (included) to `end` (excluded) in a xorb. */
export interface ChunkRange {
  start: number;
  end: number;
}

/** The inclusive form, which exists only where a header is written. */
export function rangeHeader({ start, end }: ByteRange): string {
  return `bytes=${start}-${end - 1}`;
}

export function contains(outer: ChunkRange, inner: ChunkRange): boolean {
  return outer.start <= inner.start && inner.end <= outer.end;
}
