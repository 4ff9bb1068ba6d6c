/** A pattern as Python's `fnmatchcase` reads it: `*` and `?` cross `/`, `[seq]` and `[!seq]` are sets. */
export function patternToRegExp(pattern: string): RegExp {
  const normal = pattern.replaceAll('\\', '/');
  // As in Python's Hub client, a folder stands for all that is in it.
  const text = normal.endsWith('/') ? `${normal}*` : normal;
  let source = '';
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '*') source += '.*';
    else if (char === '?') source += '.';
    else if (char === '[') {
      const set = readSet(text, at);
      source += set?.source ?? '\\[';
      at = set?.end ?? at;
    } else source += char.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  }
  return new RegExp(`^(?:${source})$`, 'su');
}

/** A set starting at `start`, or undefined if its bracket is never closed: then it means itself. */
function readSet(text: string, start: number): { source: string; end: number } | undefined {
  let first = start + 1;
  const negated = text.charAt(first) === '!';
  if (negated) first++;
  // A bracket in first place belongs to the set.
  const end = text.indexOf(']', first + 1);
  if (end < 0) return undefined;
  const members = setMembers([...text.slice(first, end)]);
  if (members === '') return { source: negated ? '.' : '(?!)', end };
  return { source: `[${negated ? '^' : ''}${members}]`, end };
}

/** Single characters and ranges; a range that runs backwards holds nothing, as in Python. */
function setMembers(chars: string[]): string {
  const quote = (char: string) => char.replace(/[\\\]^[-]/g, '\\$&');
  let members = '';
  for (let at = 0; at < chars.length; at++) {
    const [low = '', dash, high] = chars.slice(at, at + 3);
    if (dash === '-' && high !== undefined) {
      if (low <= high) members += `${quote(low)}-${quote(high)}`;
      at += 2;
    } else members += quote(low);
  }
  return members;
}

/**
 * Which paths a download takes. Without `allow` all, with an empty one none; `ignore` wins.
 */
export function selectPaths<T>(
  items: Iterable<T>,
  path: (item: T) => string,
  patterns: { allow?: readonly string[] | undefined; ignore?: readonly string[] | undefined },
): T[] {
  const allow = patterns.allow?.map(patternToRegExp);
  const ignore = patterns.ignore?.map(patternToRegExp) ?? [];
  return [...items].filter((item) => {
    const name = path(item).replaceAll('\\', '/');
    return (allow === undefined || allow.some((one) => one.test(name))) && !ignore.some((one) => one.test(name));
  });
}
