import type { ByteRange } from '../core/ranges.ts';

/** Result of the conditional headers of a request, evaluated in the order of RFC 9110, section 13.2.2. */
export type Precondition = 'proceed' | 'not-modified' | 'failed';

/** Evaluates If-Match and If-None-Match. Files of a repository have no date, so conditions on dates are ignored. */
export function checkPreconditions(headers: Headers, tags: readonly string[]): Precondition {
  const match = headers.get('if-match');
  if (match !== null && !includesTag(match, tags, 'strong')) return 'failed';
  const noneMatch = headers.get('if-none-match');
  return noneMatch !== null && includesTag(noneMatch, tags, 'weak') ? 'not-modified' : 'proceed';
}

/** True unless If-Range names another version of the file. A date never matches, as there is none to compare it with. */
export function rangeApplies(headers: Headers, tags: readonly string[]): boolean {
  const condition = headers.get('if-range');
  return condition === null || (condition.trim() !== '*' && includesTag(condition, tags, 'strong'));
}

/** True if a list of entity tags, or `*`, includes one of these tags, which are strong and written without quotes. */
function includesTag(header: string, tags: readonly string[], comparison: 'strong' | 'weak'): boolean {
  if (header.trim() === '*') return true;
  for (const [, weak, tag = ''] of header.matchAll(/(W\/)?"([^"]*)"/g)) {
    if (tags.includes(tag) && (comparison === 'weak' || weak === undefined)) return true;
  }
  return false;
}

/**
 * The range of `size` bytes that a `Range` header selects (RFC 9110, section 14): `'unsatisfiable'` if it lies outside
 * the file, undefined for the whole file. Headers that are malformed, name another unit or several ranges are ignored,
 * as the RFC allows.
 */
export function requestedRange(header: string | null, size: number): ByteRange | 'unsatisfiable' | undefined {
  const list = /^bytes=(.*)$/i.exec(header?.trim() ?? '')?.[1];
  if (list === undefined) return undefined;
  // Empty list elements are allowed and mean nothing.
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
