/** One step of a pattern: any run of characters, any one, or one out of a set of code point ranges. */
type Token =
  | { kind: 'run' }
  | { kind: 'any' }
  | { kind: 'set'; ranges: [low: number, high: number][]; negated: boolean };

const STAR = '*'.codePointAt(0);
const QUESTION = '?'.codePointAt(0);
const OPEN = '['.codePointAt(0);
const CLOSE = 93;
const BANG = 33;
const DASH = 45;

/**
 * A pattern as Python's `fnmatchcase` reads it: `*` and `?` cross `/`, `[seq]` and `[!seq]` are sets. A folder,
 * written with a `/` at its end, stands for all that is in it.
 *
 * Not a regular expression: those can take for ever on names that a repository may choose.
 */
export function makeMatcher(pattern: string): (path: string) => boolean {
  const normal = pattern.replaceAll('\\', '/');
  const tokens = tokenize(codePoints(normal.endsWith('/') ? `${normal}*` : normal));
  return (path) => matches(tokens, codePoints(path));
}

function codePoints(text: string): number[] {
  return Array.from(text, (char) => char.codePointAt(0) ?? 0);
}

function tokenize(pattern: number[]): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at] ?? 0;
    if (char === STAR) {
      if (tokens.at(-1)?.kind !== 'run') tokens.push({ kind: 'run' });
    } else if (char === QUESTION) tokens.push({ kind: 'any' });
    else {
      const set = char === OPEN ? readSet(pattern, at) : undefined;
      tokens.push(set?.token ?? { kind: 'set', ranges: [[char, char]], negated: false });
      at = set?.end ?? at;
    }
  }
  return tokens;
}

/** A set starting at `start`, or undefined if its bracket is never closed: then it means itself. */
function readSet(pattern: number[], start: number): { token: Token; end: number } | undefined {
  let first = start + 1;
  const negated = pattern[first] === BANG;
  if (negated) first++;
  // A bracket in first place belongs to the set.
  const end = pattern.indexOf(CLOSE, first + 1);
  if (end < 0) return undefined;
  return { token: { kind: 'set', ranges: setRanges(pattern.slice(first, end)), negated }, end };
}

/** Single characters and ranges; a range that runs backwards holds nothing. */
function setRanges(chars: number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (let at = 0; at < chars.length; at++) {
    const low = chars[at] ?? 0;
    const high = chars[at + 2];
    if (chars[at + 1] === DASH && high !== undefined) {
      if (low <= high) ranges.push([low, high]);
      at += 2;
    } else ranges.push([low, low]);
  }
  return ranges;
}

/** Each run first takes nothing; only the last one is ever made longer, so this takes no more than both lengths. */
function matches(tokens: Token[], text: number[]): boolean {
  let token = 0;
  let at = 0;
  let lastRun = -1;
  let runEnd = 0;
  while (at < text.length) {
    const step = tokens[token];
    if (step?.kind === 'run') {
      lastRun = token++;
      runEnd = at;
    } else if (step && accepts(step, text[at] ?? 0)) {
      token++;
      at++;
    } else if (lastRun >= 0) {
      token = lastRun + 1;
      at = ++runEnd;
    } else return false;
  }
  return tokens.slice(token).every(({ kind }) => kind === 'run');
}

function accepts(token: Token, char: number): boolean {
  if (token.kind !== 'set') return true;
  return token.ranges.some(([low, high]) => low <= char && char <= high) !== token.negated;
}

/** Selection of paths. Without `allow` all, with an empty one none; `ignore` wins. */
export function selectPaths<T>(
  items: Iterable<T>,
  path: (item: T) => string,
  patterns: { allow?: readonly string[] | undefined; ignore?: readonly string[] | undefined },
): T[] {
  const allow = patterns.allow?.map(makeMatcher);
  const ignore = patterns.ignore?.map(makeMatcher) ?? [];
  return [...items].filter((item) => {
    const name = path(item).replaceAll('\\', '/');
    return (allow === undefined || allow.some((one) => one(name))) && !ignore.some((one) => one(name));
  });
}

/** True if clients leave a path out of every upload: `.git` and the notes of Python's client, at any depth. */
export function isNeverUploaded(path: string): boolean {
  const parts = path.split('/');
  return parts.some((part, index) => part === '.git' || (part === '.cache' && parts[index + 1] === 'huggingface'));
}
