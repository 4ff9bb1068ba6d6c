import { publicText } from '../../core/errors.ts';

/** The head of an answer of HTTP/1, taken from a connection (RFC 9112). */
export interface ResponseHead {
  readonly status: number;
  /** By names in small letters; values of a name that comes more than once are joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
  readonly framing: Framing;
  /** Milliseconds that the connection may lie idle and be used again: none where it may not. */
  readonly idleMs: number;
}

/** Framing of a body: a length in bytes, chunked, or until the connection closes. */
export type Framing = { kind: 'length'; bytes: number } | { kind: 'chunked' } | { kind: 'rest' };

/** Servers that say nothing about it close what is idle after five seconds or more. */
const IDLE_MS = 4000;
/** Margin before the server's own idle timeout, as requests take time to arrive. */
const IDLE_MARGIN_MS = 1000;
const EMPTY: Framing = { kind: 'length', bytes: 0 };
const MAX_HEAD_BYTES = 64 * 1024;
/** Carriage return and line feed, twice. */
const END = [13, 10, 13, 10];
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** An answer that is not HTTP/1, or whose end is ambiguous. Not retried, as the server would repeat it. */
export class MalformedResponse extends TypeError {
  override readonly name = 'MalformedResponse';
}

/** Collects the head of an answer, however it comes. */
export class HeadCollector {
  readonly #decoder = new TextDecoder('latin1');
  /** Number of bytes of the end-of-head marker that were matched. */
  #matched = 0;
  /** All lines up to the empty one, once they are there. */
  text = '';

  /**
   * @returns where in these bytes that begins which follows the head, once that is whole
   * @throws MalformedResponse of a head that does not end
   */
  add(bytes: Uint8Array): number | undefined {
    // Most of the bytes may be those of a body, of which none is looked at.
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === END[this.#matched]) this.#matched++;
      else this.#matched = byte === END[0] ? 1 : 0;
      if (this.#matched < END.length) continue;
      this.text = (this.text + this.#decoder.decode(bytes.subarray(0, at + 1))).slice(0, -END.length);
      return at + 1;
    }
    this.text += this.#decoder.decode(bytes);
    if (/^HTTP\/[^\r]*?\n\n/.test(this.text)) throw new MalformedResponse('header lines end without CR');
    if (this.text.length > MAX_HEAD_BYTES) throw new MalformedResponse('the response head is too long');
    return undefined;
  }
}

/**
 * Reads lines up to the empty one, without it.
 * @param method of the request: there is no body after `HEAD`.
 * @throws MalformedResponse about anything that leaves in doubt where the body ends.
 */
export function parseResponseHead(text: string, method: string): ResponseHead {
  // An empty line may come first (RFC 9112, 2.2). Continued header lines are refused, as llhttp does.
  const [statusLine = '', ...lines] = text.replace(/^\r\n/, '').split('\r\n');
  const [, version, digits] = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [^\0\r\n]*)?$/.exec(statusLine) ?? [];
  if (digits === undefined) throw new MalformedResponse(`invalid status line ${quoted(statusLine)}`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0));
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
    if (!FIELD_NAME.test(name) || /[\0\r\n]/.test(value)) {
      throw new MalformedResponse(`invalid header line ${quoted(line)}`);
    }
    const key = name.toLowerCase();
    const before = headers.get(key);
    headers.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  const status = Number(digits);
  // Contradictions are refused also where there is no body.
  const framed = framingOf(headers);
  const framing = method === 'HEAD' || status < 200 || status === 204 || status === 304 ? EMPTY : framed;
  const stays = version === '1' && framing.kind !== 'rest' && !/\bclose\b/i.test(headers.get('connection') ?? '');
  return { status, headers, framing, idleMs: stays ? idleTime(headers) : 0 };
}

/** Some of a line, in which a server may have repeated what it was sent. */
function quoted(line: string): string {
  return JSON.stringify(publicText(line.slice(0, 4096)).slice(0, 40));
}

function framingOf(headers: ReadonlyMap<string, string>): Framing {
  const coding = headers.get('transfer-encoding');
  const length = headers.get('content-length');
  if (coding !== undefined) {
    // Whoever is in between may have believed the other one.
    if (length !== undefined) throw new MalformedResponse('Content-Length with Transfer-Encoding');
    if (coding.toLowerCase() !== 'chunked') throw new MalformedResponse('unsupported Transfer-Encoding');
    return { kind: 'chunked' };
  }
  if (length === undefined) return { kind: 'rest' };
  if (!/^\d{1,15}$/.test(length)) throw new MalformedResponse('invalid Content-Length');
  return { kind: 'length', bytes: Number(length) };
}

function idleTime(headers: ReadonlyMap<string, string>): number {
  const [, seconds] = /\btimeout=(\d{1,6})\b/i.exec(headers.get('keep-alive') ?? '') ?? [];
  if (seconds === undefined) return IDLE_MS;
  return Math.max(0, Math.min(IDLE_MS, Number(seconds) * 1000 - IDLE_MARGIN_MS));
}
