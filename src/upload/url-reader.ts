import { publicUrl, XetError } from '../core/errors.ts';
import { parseContentRange } from '../http/content-range.ts';
import type { Http } from '../http/http.ts';
import type { Reply } from '../http/types.ts';
import { type ContentPeek, type ContentReader, changed, exactly, SAMPLE_BYTES } from './content-reader.ts';

interface UrlPeek extends ContentPeek {
  /** Strong ETag of a server that supports ranges, with which a broken download can resume. */
  tag: string | undefined;
}

/** Reads the content of a URL, without sending a token. */
export class UrlReader implements ContentReader {
  readonly #url: string;
  readonly #http: Http;
  #peek: UrlPeek | undefined;

  constructor(url: URL, http: Http) {
    this.#url = url.href;
    this.#http = http;
  }

  async peek(signal: AbortSignal): Promise<ContentPeek> {
    const range = `bytes=0-${SAMPLE_BYTES - 1}`;
    this.#peek = await this.#http.exchange(
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
    return this.#peek;
  }

  async *bytes(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const size = this.#peek?.size;
    const pieces = this.#pieces(signal);
    yield* size === undefined ? pieces : exactly(size, publicUrl(this.#url), pieces);
  }

  /** Resumes after a broken connection if the server supports ranges and each connection makes progress. */
  async *#pieces(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const { tag, size } = this.#peek ?? {};
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
        const canResume = tag !== undefined && at > before && error instanceof XetError && error.retryable;
        if (!canResume) throw error;
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

/** Length of a complete response. That of a compressed one says nothing about its content. */
function lengthOf(reply: Reply): number | undefined {
  const length = reply.headers.get('content-length');
  const coded = reply.headers.get('content-encoding');
  const plain = coded === null || coded === 'identity';
  return reply.status === 200 && plain && length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
}
