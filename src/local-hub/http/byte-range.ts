import type { ByteRange } from '../../core/ranges.ts';

/** One range as it was written: `a-b`, `a-` or `-n`, ends included. */
interface WrittenRange {
  first: number | undefined;
  last: number | undefined;
}

/** The parts of a `Range` header; `undefined` where it is not one of bytes, or not well-formed. */
function parse(header: string): WrittenRange[] | undefined {
  const list = /^bytes=(.+)$/i.exec(header.trim())?.[1];
  if (list === undefined) return undefined;
  const ranges = list.split(',').map((text): WrittenRange | undefined => {
    const match = /^\s*(\d{0,15})-(\d{0,15})\s*$/.exec(text);
    if (!match || (match[1] === '' && match[2] === '')) return undefined;
    const first = match[1] === '' ? undefined : Number(match[1]);
    const last = match[2] === '' ? undefined : Number(match[2]);
    return first !== undefined && last !== undefined && last < first ? undefined : { first, last };
  });
  return ranges.every((range) => range !== undefined) ? ranges : undefined;
}

/** The single range of `size` bytes that a header asks for. `unsatisfiable` begins at or after the end. */
export function requestedRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const ranges = header === undefined ? undefined : parse(header);
  const range = ranges?.[0];
  // A range that is not understood, or several of them, may be answered in full.
  if (!range || ranges.length !== 1) return undefined;
  if (range.first === undefined) {
    const length = Math.min(range.last ?? 0, size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size };
  }
  if (range.first >= size) return 'unsatisfiable';
  return { start: range.first, end: Math.min((range.last ?? size - 1) + 1, size) };
}

/** All ranges of a header, where each names both ends. */
export function explicitRanges(header: string): ByteRange[] | undefined {
  const ranges = parse(header)?.map(({ first, last }) =>
    first === undefined || last === undefined ? undefined : { start: first, end: last + 1 },
  );
  return ranges?.every((range) => range !== undefined) ? ranges : undefined;
}

/** `a-b,c-d`, ends included. */
export function writeRanges(ranges: ByteRange[]): string {
  return ranges.map(({ start, end }) => `${start}-${end - 1}`).join(',');
}

export function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`;
}
