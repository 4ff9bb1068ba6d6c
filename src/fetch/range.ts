import type { ByteRange } from '../core/ranges.ts';

/**
 * What a `Range` header asks for of `size` bytes, as RFC 9110 reads it: one range, nothing that exists
 * (`'unsatisfiable'`), or, undefined, all of it. A header that is not well-formed, counts in something else than
 * bytes or names several ranges is one that a server may leave aside, and asks for all.
 */
export function requestedRange(header: string | null, size: number): ByteRange | 'unsatisfiable' | undefined {
  const list = /^bytes=(.*)$/i.exec(header?.trim() ?? '')?.[1];
  if (list === undefined) return undefined;
  // Empty elements of a list mean nothing.
  const [only, ...more] = list
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const [, first, last] = /^(\d*)-(\d*)$/.exec(only ?? '') ?? [];
  if (more.length > 0 || first === undefined || last === undefined) return undefined;
  if (first === '') return last === '' ? undefined : suffix(Number(last), size);
  const start = Number(first);
  const end = last === '' ? size : Number(last) + 1;
  if (last !== '' && end <= start) return undefined;
  return start >= size ? 'unsatisfiable' : { start, end: Math.min(end, size) };
}

function suffix(length: number, size: number): ByteRange | 'unsatisfiable' {
  return length === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - length), end: size };
}
