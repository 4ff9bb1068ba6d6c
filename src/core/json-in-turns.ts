import type { Steps } from './steps.ts';

/** Text that is no honest JSON: parsed, it would be a multiple of its length, or it is nested without end. */
export class DishonestJson extends Error {
  override message = 'The JSON is mostly brackets';
}

/** Up to here its form makes no difference. */
const SHORT_CHARACTERS = 64 * 1024;
/** An honest value takes more characters, with its name and what stands between; `{},` becomes twenty times its length in memory. */
const MIN_CHARACTERS_A_VALUE = 5;
const MAX_DEPTH = 100;
/** Characters that are parsed, or looked at, between two stops: about a millisecond. */
const TURN_CHARACTERS = 128 * 1024;

/**
 * Parses JSON as `JSON.parse` does, with stops in texts that take long: an object with a few long lists or objects in it, such as
 * a reconstruction, is parsed in parts. Objects that were parsed in parts have no prototype.
 *
 * @throws {SyntaxError} for anything but JSON
 * @throws {DishonestJson} for long texts that are mostly brackets
 */
export function* parseJson(text: string): Steps<unknown> {
  if (text.length <= SHORT_CHARACTERS) return JSON.parse(text);
  const members = yield* membersOf(text);
  if (members === undefined) return JSON.parse(text);
  const root: Record<string, unknown> = Object.create(null);
  for (const { name, cuts } of members) root[name] = yield* joinedValue(text, cuts);
  return root;
}

/** A member of the outermost object. `cuts` are where its value begins and ends, and commas at which it may be cut. */
interface Member {
  name: string;
  cuts: number[];
}

/** A value in as many parts as it was cut into. */
function* joinedValue(text: string, cuts: readonly number[]): Steps<unknown> {
  const [start = 0] = cuts;
  if (cuts.length <= 2) return JSON.parse(text.slice(start, cuts[1]));
  let end = cuts.at(-1) ?? 0;
  while (isSpace(text.charCodeAt(end - 1))) end--;
  const [open = '', close = ''] = text[start] === '[' ? '[]' : '{}';
  if (text[end - 1] !== close) throw new SyntaxError('A bracket is closed by another one');
  const list: unknown[] = [];
  const record: Record<string, unknown> = Object.create(null);
  for (let index = 1; index < cuts.length; index++) {
    // All but the outermost brackets, and the commas.
    const part = text.slice((cuts[index - 1] ?? 0) + 1, index === cuts.length - 1 ? end - 1 : cuts[index]);
    if (part.trim() === '') throw new SyntaxError('Nothing stands beside a comma');
    const parsed: unknown = JSON.parse(`${open}${part}${close}`);
    if (Array.isArray(parsed)) for (const item of parsed) list.push(item);
    else Object.assign(record, parsed);
    yield;
  }
  return open === '[' ? list : record;
}

/** The members of an object, without their values; undefined for a text that is anything else. Stops now and then. */
function* membersOf(text: string): Steps<Member[] | undefined> {
  const members: Member[] = [];
  let name: string | undefined;
  let member: Member | undefined;
  let values = 0;
  let depth = 0;
  let stopAt = TURN_CHARACTERS;
  const end = (at: number) => {
    member?.cuts.push(at);
    member = name = undefined;
  };
  for (let at = 0; at < text.length; at++) {
    if (at >= stopAt) {
      stopAt = at + TURN_CHARACTERS;
      yield;
    }
    const code = text.charCodeAt(at);
    // The first character of a value, after the colon.
    if (depth === 1 && name !== undefined && member === undefined && !isSpace(code) && code !== COLON) {
      member = { name, cuts: [at] };
      members.push(member);
    }
    switch (code) {
      case QUOTE: {
        const start = at;
        do at = text.indexOf('"', at + 1);
        while (at > 0 && isEscaped(text, at));
        if (at < 0) throw new SyntaxError('A string does not end');
        if (depth === 1 && name === undefined) name = JSON.parse(text.slice(start, at + 1)) as string;
        break;
      }
      case 0x5b:
      case 0x7b:
        values++;
        if (++depth > MAX_DEPTH) throw new DishonestJson();
        break;
      case 0x5d:
      case 0x7d:
        if (--depth === 0) end(at);
        break;
      case COMMA:
        values++;
        if (depth === 1) end(at);
        else if (depth === 2 && member && at - (member.cuts.at(-1) ?? 0) > TURN_CHARACTERS) member.cuts.push(at);
        break;
    }
  }
  if (values * MIN_CHARACTERS_A_VALUE >= text.length) throw new DishonestJson();
  return isObjectOf(text, members) ? members : undefined;
}

/** True if nothing but these members, in the right form, stands in the text. */
function isObjectOf(text: string, members: readonly Member[]): boolean {
  let rest = '';
  let at = 0;
  for (const { cuts } of members) {
    rest += `${text.slice(at, cuts[0])}0`;
    at = cuts.at(-1) ?? at;
  }
  rest += text.slice(at);
  if (rest.length > SHORT_CHARACTERS || !rest.trimStart().startsWith('{')) return false;
  JSON.parse(rest);
  return true;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const isSpace = (code: number) => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** True if an odd number of backslashes is before it. */
function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text.charCodeAt(before - 1) === 0x5c) before--;
  return (at - before) % 2 === 1;
}
