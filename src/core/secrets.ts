import { cleanTextsBy, SECRET_NAMES } from './errors.ts';

/**
 * Credentials that this process sends, so that they can be taken out of every text that is shown. Servers repeat what
 * they were sent, and no pattern tells a company's own token from other words: only its value does.
 */

/** Shorter values may be parts of ordinary words. */
const MIN_CHARACTERS = 4;
/** Up to this length a value counts only as a word of its own. */
const WORD_CHARACTERS = 11;
/** User names that are too short, or that many share and messages need. */
const COMMON_USERS = /^(.{0,4}|admin|guest|proxy|token|oauth2?|basic|bearer|anonymous)$/i;

interface Spelling {
  length: number;
  pattern: RegExp;
}

/** The latest credentials, with what to look for; the latter is found only when there is text to clean. */
type Known = Map<string, Spelling[] | undefined>;
const credentials: Known = new Map();
const addresses: Known = new Map();

function remember(known: Known, entry: string, most: number): void {
  const found = known.get(entry);
  known.delete(entry);
  known.set(entry, found);
  if (known.size > most) known.delete(known.keys().next().value as string);
}

function spellingsOf(known: Known, valuesOf: (entry: string) => string[]): Spelling[] {
  return [...known].flatMap(([entry, before]) => {
    const found =
      before ??
      valuesOf(entry)
        .flatMap(spellings)
        .map((text) => ({ length: text.length, pattern: patternOf(text) }));
    known.set(entry, found);
    return found;
  });
}

/** Remembers a token, a password or the value of an `authorization` header. */
export function rememberSecret(value: string | null | undefined): void {
  if (value) remember(credentials, value, 256);
}

/** Remembers what an address holds of credentials: user and password, and signatures in its query. */
export function rememberUrl(url: string): void {
  if (/[?@]/.test(url)) remember(addresses, url, 128);
}

/**
 * Text without any credential that was remembered, however it is encoded there.
 * @param longOnly for names of files, in which a short password may well be a word of its own
 */
export function withoutSecrets(text: string, longOnly = false): string {
  // One may begin with another.
  const all = [...spellingsOf(credentials, partsOf), ...spellingsOf(addresses, secretsIn)];
  for (const { length, pattern } of all.sort((a, b) => b.length - a.length)) {
    if (!longOnly || length > WORD_CHARACTERS) text = text.replace(pattern, '$1…');
  }
  return text;
}

cleanTextsBy(withoutSecrets);

/** Parts of a credential that must not be shown. */
function partsOf(credential: string): string[] {
  const token = credential.trim().replace(/^(Basic|Bearer|Digest)\s+/i, '');
  const values = [credential, token];
  if (/^\s*basic\s/i.test(credential)) values.push(...userinfo(tried(atob, token)));
  // A JSON Web Token is as good as its parts.
  if (/^eyJ[\w.-]+$/.test(token)) values.push(...token.split('.').filter((part) => part.length >= 16));
  return values;
}

/** Parts of `user:password` that must not be shown. */
function userinfo(text: string): string[] {
  const [user = '', ...password] = text.split(':');
  const values = password.length > 0 ? [text, password.join(':')] : [];
  return COMMON_USERS.test(user) ? values : [...values, user];
}

function secretsIn(url: string): string[] {
  const values = userinfo(/^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)@/i.exec(url)?.[1] ?? '');
  for (const [, name = '', value = ''] of url.matchAll(/[?&]([^=&#]+)=([^&#]+)/g)) {
    if (SECRET_NAMES.test(name)) values.push(value);
  }
  return values.flatMap((value) => [value, decoded(value)]);
}

/** Applies a conversion to a text, or returns the text if that fails. */
function tried(how: (text: string) => string, text: string): string {
  try {
    return how(text);
  } catch {
    return text;
  }
}

/** Without `%` escapes, if they are escapes. */
export const decoded = (text: string) => tried(decodeURIComponent, text);

/** A value as it is, and as it stands in addresses, JSON, markup and base64. */
function spellings(value: string): string[] {
  if (value.length < MIN_CHARACTERS) return [];
  const json = JSON.stringify(value).slice(1, -1);
  const encoded = tried(encodeURIComponent, value);
  const all = [value, json, json.replaceAll('/', '\\/'), encoded, tried(encodeURIComponent, encoded)];
  all.push(
    value.replace(/[&<>"']/g, (char) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot' }[char] ?? '#39'};`),
  );
  if (value.length >= 8) all.push(...inBase64(value));
  return [...new Set(all)];
}

/** The parts that the base64 of any text with this value has in common: one for each of the three alignments. */
function inBase64(value: string): string[] {
  const text = String.fromCharCode(...new TextEncoder().encode(value.slice(0, 4096)));
  return [0, 1, 2].flatMap((before) => {
    const start = Math.ceil((before * 4) / 3);
    const end = Math.floor(((before + text.length) * 4) / 3);
    const core = btoa('\0'.repeat(before) + text).slice(start, end);
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

function patternOf(spelling: string): RegExp {
  const literal = spelling.replace(/\W/g, '\\$&');
  return new RegExp(spelling.length > WORD_CHARACTERS ? `()${literal}` : `(^|\\W)${literal}(?!\\w)`, 'gi');
}
