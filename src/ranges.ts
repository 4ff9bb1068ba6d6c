/** Bytes `start` (included) to `end` (excluded). */
export interface ByteRange {
  /** First byte. */
  start: number;
  /** First byte after it. */
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

/** What is left of a range without some parts, which are ascending and apart from each other. */
export function without(range: ByteRange, parts: readonly ByteRange[]): ByteRange[] {
  const left: ByteRange[] = [];
  let at = range.start;
  for (const part of parts) {
    if (part.end <= at || part.start >= range.end) continue;
    if (part.start > at) left.push({ start: at, end: part.start });
    at = part.end;
  }
  if (at < range.end) left.push({ start: at, end: range.end });
  return left;
}

/** At most so many ranges that hold all of these, joined where the gaps are smallest. Ascending, as they come. */
export function joinNearest(ranges: readonly ByteRange[], most: number): ByteRange[] {
  const joined = ranges.map((range) => ({ ...range }));
  while (joined.length > most) {
    let narrowest = 1;
    const gap = (index: number) => (joined[index]?.start ?? 0) - (joined[index - 1]?.end ?? 0);
    for (let index = 2; index < joined.length; index++) if (gap(index) < gap(narrowest)) narrowest = index;
    const [right] = joined.splice(narrowest, 1);
    const left = joined[narrowest - 1];
    if (left && right) left.end = right.end;
  }
  return joined;
}

export function lengthOf(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
