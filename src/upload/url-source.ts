import { publicUrl, XetError } from '../core/errors.ts';
import { parseContentRange } from '../http/content-range.ts';
import type { Http, Reply } from '../http/http.ts';
import { changed, exactly, type Look, SAMPLE_BYTES, type SourceFile } from './source-file.ts';

/** What an address said of its content when it was looked at. */
interface Seen extends Look {
  /** Whether it gives parts, and a tag by which to tell that they are parts of the same. */
  tag: string | undefined;
}

/** What is behind an address. No token goes there. */
export class UrlSource implements SourceFile {
  readonly #url: string;
  readonly #http: Http;
  #seen: Seen | undefined;

  constructor(url: URL, http: Http) {
    this.#url = url.href;
    this.#http = http;
  }

  async look(signal: AbortSignal): Promise<Look> {
    const range = `bytes=0-${SAMPLE_BYTES - 1}`;
    this.#seen = await this.#http.exchange(
      { kind: 'source', url: this.#url, headers: { range }, signal, accept: [416] },
      async (reply) => {
        const sample = reply.status === 416 ? new Uint8Array() : await firstBytes(reply);
        const total = reply.status === 206 ? parseContentRange(reply.headers.get('content-range'))?.total : undefined;
        const etag = reply.headers.get('etag');
        return {
          sample,
          size: reply.status === 416 ? 0 : (total ?? lengthOf(reply)),
          tag: total !== undefined && etag?.startsWith('"') ? etag : undefined,
        };
      },
    );
    return this.#seen;
  }

  async *bytes(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const size = this.#seen?.size;
    const pieces = this.#pieces(signal);
    yield* size === undefined ? pieces : exactly(size, publicUrl(this.#url), pieces);
  }

  /** Goes on where a connection broke, as long as each one brings something; where there are no parts it fails. */
  async *#pieces(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const { tag, size } = this.#seen ?? {};
    let at = 0;
    for (;;) {
      const before = at;
      const headers: Record<string, string> = at > 0 && tag ? { range: `bytes=${at}-`, 'if-range': tag } : {};
      const reply = await this.#http.send({ kind: 'source', url: this.#url, headers, signal });
      if (at > 0 && reply.status !== 206) {
        reply.drop();
        throw changed(publicUrl(this.#url));
      }
      try {
        for await (const piece of reply.chunks()) {
          at += piece.length;
          yield piece;
        }
        if (size === undefined || at >= size) return;
        throw new XetError('NETWORK', `${publicUrl(this.#url)} ended after ${at} of ${size} bytes.`, {
          url: this.#url,
          retryable: true,
        });
      } catch (error) {
        signal.throwIfAborted();
        const goesOn = tag !== undefined && at > before && error instanceof XetError && error.retryable;
        if (!goesOn) throw error;
      }
    }
  }
}

async function firstBytes(reply: Reply): Promise<Uint8Array> {
  const sample = new Uint8Array(SAMPLE_BYTES);
  let filled = 0;
  for await (const piece of reply.chunks()) {
    const taken = piece.subarray(0, SAMPLE_BYTES - filled);
    sample.set(taken, filled);
    filled += taken.length;
    if (filled === SAMPLE_BYTES) break;
  }
  return sample.subarray(0, filled);
}

/** What a whole answer says of its length; a compressed one does not say how long its content is. */
function lengthOf(reply: Reply): number | undefined {
  const length = reply.headers.get('content-length');
  const coded = reply.headers.get('content-encoding');
  const plain = coded === null || coded === 'identity';
  return reply.status === 200 && plain && length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
}
