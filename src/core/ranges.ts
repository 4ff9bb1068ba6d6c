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

/** Subtracts parts from a range; they are ascending and disjoint. */
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

/** Subtracts parts from ranges; both are ascending and disjoint. */
export function withoutAll(ranges: readonly ByteRange[], parts: readonly ByteRange[]): ByteRange[] {
  const left: ByteRange[] = [];
  let first = 0;
  for (const range of ranges) {
    while ((parts[first]?.end ?? Number.POSITIVE_INFINITY) <= range.start) first++;
    let beyond = first;
    while ((parts[beyond]?.start ?? Number.POSITIVE_INFINITY) < range.end) beyond++;
    for (const rest of without(range, parts.slice(first, beyond))) left.push(rest);
  }
  return left;
}

/** At most so many ranges that hold all of these, joined where the gaps are smallest. Ascending, as they come. */
export function joinNearest(ranges: readonly ByteRange[], most: number): ByteRange[] {
  const gap = (index: number) => (ranges[index]?.start ?? 0) - (ranges[index - 1]?.end ?? 0);
  const widest = [...ranges.keys()].slice(1).sort((a, b) => gap(b) - gap(a) || b - a);
  const apart = new Set(widest.slice(0, Math.max(0, most - 1)));
  const joined: ByteRange[] = [];
  for (const [index, range] of ranges.entries()) {
    const last = joined.at(-1);
    if (last && !apart.has(index)) last.end = range.end;
    else joined.push({ ...range });
  }
  return joined;
}

export function lengthOf(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
