import { HubError } from '../hub-error.ts';

/** Longer patterns count for nothing; those in use are far shorter. */
const MAX_PATTERN_LENGTH = 1024;
/** The most work of one request. It takes a fraction of a second. */
const MAX_STEPS = 4_000_000;

/** One step of a pattern. */
type Token =
  /** One character. */
  | ((char: string) => boolean)
  /** `*`: any number of characters within a folder. */
  | 'many'
  /** `**`: any number of characters. */
  | 'all'
  /** `**` and a slash: any number of folders. */
  | 'folders';

/** A pattern that was read once, to be tried on many paths. */
export type Wildcards = readonly Token[];

/** Bounds the work of a request whose patterns and paths both come from a client. */
export class MatchBudget {
  #left = MAX_STEPS;

  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) {
      throw new HubError(400, 'Matching .gitattributes and .gitignore takes too long: use fewer or simpler patterns.');
    }
  }
}

/** Reads Git's wildcards: `*`, `?` and classes stay within a folder, `**` does not. `undefined` for a pattern that is too long. */
export function readWildcards(pattern: string): Wildcards | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH) return undefined;
  const tokens: Token[] = [];
  for (let at = pattern.startsWith('/') ? 1 : 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    const found = char === '[' ? readClass(pattern, at) : undefined;
    if (found) {
      tokens.push(found.test);
      at = found.last;
    } else if (pattern.startsWith('**/', at)) {
      tokens.push('folders');
      at += 2;
    } else if (pattern.startsWith('**', at)) {
      tokens.push('all');
      at++;
    } else if (char === '*') tokens.push('many');
    else if (char === '?') tokens.push((other) => other !== '/');
    else if (char === '\\' && at + 1 < pattern.length) tokens.push(literal(pattern.charAt(++at)));
    else tokens.push(literal(char));
  }
  return tokens;
}

function literal(char: string): Token {
  return (other) => other === char;
}

/** The class that begins with the bracket at `start`, if it has an end. */
function readClass(pattern: string, start: number): { test: (char: string) => boolean; last: number } | undefined {
  const negated = pattern[start + 1] === '!' || pattern[start + 1] === '^';
  const first = start + (negated ? 2 : 1);
  // A bracket that closes is a member where it comes first.
  const last = pattern.indexOf(']', first + 1);
  if (last < 0) return undefined;
  const ranges: { from: string; to: string }[] = [];
  for (let at = first; at < last; at++) {
    const from = pattern.charAt(at);
    const isRange = pattern[at + 1] === '-' && at + 2 < last;
    ranges.push({ from, to: isRange ? pattern.charAt(at + 2) : from });
    if (isRange) at += 2;
  }
  const test = (char: string) => char !== '/' && ranges.some(({ from, to }) => char >= from && char <= to) !== negated;
  return { test, last };
}

/**
 * True if the whole of a text fits a pattern. Follows all ways through the pattern at once, so the work is at most the product of both
 * lengths, whatever they are.
 */
export function fits(pattern: Wildcards, text: string, budget: MatchBudget): boolean {
  budget.spend(1);
  // Almost every pair ends here.
  const [first] = pattern;
  const last = pattern.at(-1);
  if (typeof first === 'function' && !first(text.charAt(0))) return false;
  if (typeof last === 'function' && !last(text.charAt(text.length - 1))) return false;
  budget.spend(pattern.length);
  const seen = new Uint32Array(pattern.length + 1);
  let ways: number[] = [];
  let next: number[] = [];
  const add = (way: number, round: number) => {
    if (seen[way] === round) return;
    seen[way] = round;
    next.push(way);
  };
  const enter = (way: number, round: number) => {
    add(way, round);
    // Each of these may stand for nothing.
    for (let at = way; typeof pattern[at] === 'string'; ) add(++at, round);
  };
  enter(0, 1);
  for (let at = 0; at < text.length && next.length > 0; at++) {
    [ways, next] = [next, []];
    budget.spend(ways.length);
    const char = text.charAt(at);
    for (const way of ways) {
      const token = pattern[way];
      if (token === undefined) continue;
      if (typeof token === 'function') {
        if (token(char)) enter(way + 1, at + 2);
      } else if (token === 'all' || (token === 'many' && char !== '/')) enter(way, at + 2);
      else if (token === 'folders') {
        add(way, at + 2);
        if (char === '/') enter(way + 1, at + 2);
      }
    }
  }
  return next.includes(pattern.length);
}
