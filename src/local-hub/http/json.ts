import { HubError } from '../hub-error.ts';

const MAX_DEPTH = 64;
/** Values, and names of values. A few bytes of text make an object of many: this bounds what parsing takes. */
const MAX_VALUES = 100_000;

/** Parses what a client sent, once it is clear that the result is neither deep nor large. */
export function parseJson(text: string): unknown {
  requireSimple(text);
  try {
    return JSON.parse(text);
  } catch {
    throw new HubError(400, 'The request body is not JSON.');
  }
}

function requireSimple(text: string): void {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        break;
      case '{':
      case '[':
        depth++;
        values++;
        break;
      case '}':
      case ']':
        depth--;
        break;
      case ',':
      case ':':
        values++;
    }
    if (depth > MAX_DEPTH || values > MAX_VALUES) {
      throw new HubError(
        400,
        `The JSON of the request body is deeper than ${MAX_DEPTH} or has more than ${MAX_VALUES} values.`,
      );
    }
  }
}

/** Index of the closing quote of the string that begins at `start`: one after an even number of backslashes. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = end;
    while (text[escapes - 1] === '\\') escapes--;
    if ((end - escapes) % 2 === 0) return end;
  }
  return text.length;
}
