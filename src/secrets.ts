/**
 * Credentials that this process sends, so that they can be taken out of every text that is shown. Servers repeat what
 * they were sent, and no pattern tells a company's own token from other words: only its value does.
 */

/** Shorter values may be parts of ordinary words. */
const LEAST_CHARACTERS = 4;
/** Up to this length a value counts only as a word of its own. */
const WORD_CHARACTERS = 11;
/** User names that many share, and that messages need. */
const COMMON_USERS = /^(user|admin|root|guest|proxy|token|oauth2?|basic|bearer|anonymous)$/i;
const SECRET_NAMES = /sig|token|cred|policy|key|pass|secret|auth(?!or)|hmac|jwt|ticket|session/i;

interface Spelling {
  length: number;
  pattern: RegExp;
}

/** The latest of them by what they are, with what to look for; the latter is found only when there is text to clean. */
class Latest {
  readonly #entries = new Map<string, Spelling[] | undefined>();
  readonly #most: number;
  readonly #valuesOf: (entry: string) => string[];

  constructor(most: number, valuesOf: (entry: string) => string[]) {
    this.#most = most;
    this.#valuesOf = valuesOf;
  }

  add(entry: string): void {
    const known = this.#entries.get(entry);
    this.#entries.delete(entry);
    this.#entries.set(entry, known);
    if (this.#entries.size > this.#most) this.#entries.delete(this.#entries.keys().next().value as string);
  }

  spellings(): Spelling[] {
    return [...this.#entries].flatMap(([entry, known]) => {
      if (known) return known;
      const found = this.#valuesOf(entry)
        .flatMap(spellings)
        .map((text) => ({ length: text.length, pattern: patternOf(text) }));
      this.#entries.set(entry, found);
      return found;
    });
  }
}

const credentials = new Latest(256, partsOf);
const addresses = new Latest(128, secretsIn);

/** Remembers a token, a password or the value of an `authorization` header. */
export function rememberSecret(value: string | null | undefined): void {
  if (value) credentials.add(value);
}

/** Remembers what an address holds of credentials: user and password, and signatures in its query. */
export function rememberUrl(url: string): void {
  if (/[?@]/.test(url)) addresses.add(url);
}

/**
 * Text without any credential that was remembered, however it is encoded there.
 * @param longOnly for names of files, in which a short password may well be a word of its own
 */
export function withoutSecrets(text: string, longOnly = false): string {
  // One may begin with another.
  const all = [...credentials.spellings(), ...addresses.spellings()].sort((a, b) => b.length - a.length);
  for (const { length, pattern } of all) {
    if (!longOnly || length > WORD_CHARACTERS) text = text.replace(pattern, '$1…');
  }
  return text;
}

/** What of a credential must not be shown: also the parts of which it consists. */
function partsOf(credential: string): string[] {
  const values = [credential];
  const [, scheme, rest] = /^(Basic|Bearer|Digest)\s+(.+)$/i.exec(credential.trim()) ?? [];
  if (rest !== undefined) values.push(rest);
  if (scheme?.toLowerCase() === 'basic') values.push(...ofBasic(rest as string));
  // A JSON Web Token is as good as its parts.
  const token = rest ?? credential;
  if (/^eyJ[\w-]*(\.[\w-]*){2}$/.test(token)) values.push(...token.split('.').filter((part) => part.length >= 16));
  return values;
}

function ofBasic(encoded: string): string[] {
  try {
    const text = atob(encoded);
    const colon = text.indexOf(':');
    return [text, ...userinfo(text.slice(0, colon), text.slice(colon + 1))];
  } catch {
    return [];
  }
}

function userinfo(user: string, password: string): string[] {
  return [password, ...(user.length > LEAST_CHARACTERS && !COMMON_USERS.test(user) ? [user] : [])];
}

function secretsIn(url: string): string[] {
  const [, authority = ''] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)@/i.exec(url) ?? [];
  const [user = '', ...password] = authority.split(':');
  const values = userinfo(user, password.join(':'));
  if (user && password.length > 0) values.push(`${decoded(user)}:${decoded(password.join(':'))}`);
  const query = url.slice(url.indexOf('?') + 1).split('#', 1)[0] ?? '';
  for (const pair of url.includes('?') ? query.split('&') : []) {
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (at > 0 && SECRET_NAMES.test(name)) values.push(value);
  }
  return values.flatMap((value) => [value, decoded(value)]);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function encoded(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A value as it is, and as it stands in addresses, JSON, markup and base64. */
function spellings(value: string): string[] {
  if (value.length < LEAST_CHARACTERS) return [];
  const json = JSON.stringify(value).slice(1, -1);
  const all = [value, json, json.replaceAll('/', '\\/'), encoded(value), encoded(encoded(value))];
  all.push(
    value.replace(/[&<>"']/g, (char) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot' }[char] ?? '#39'};`),
  );
  if (value.length >= 8) all.push(...inBase64(value));
  return [...new Set(all)];
}

/** What is the same in the base64 of any text that holds a value: its place there has one of three remainders. */
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
  const literal = spelling.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  return new RegExp(spelling.length > WORD_CHARACTERS ? `()${literal}` : `(^|\\W)${literal}(?!\\w)`, 'gi');
}
