import { withToken } from '../cas/client.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { Shard } from '../codec/shard.ts';
import { readShard } from '../codec/upload-operations.ts';
import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import type { Http, Reply } from '../http/http.ts';
import type { CasTokenSource } from '../hub/token.ts';

/** No answer is longer: servers keep shards below 64 MiB. */
const MAX_ANSWER_BYTES = 80 * 1024 * 1024;
/** An answer saves a fetch of 64 MiB at best; waiting longer for it than two attempts take saves nothing. */
const ATTEMPTS = 2;
const MOST_AT_ONCE = 8;
/** After so many failures in a row the CAS is not asked any more. */
const MOST_FAILURES = 4;

/**
 * Asks the CAS which xorbs came with a chunk. An upload is right without any answer, so whatever goes wrong means "not
 * known", and a server that asks for patience or fails again and again is left alone.
 */
export class ChunkQueries {
  readonly #http: Http;
  readonly #tokens: CasTokenSource;
  readonly #pool: CodecPool;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #failures = 0;
  #stopped = false;

  constructor(parts: { http: Http; tokens: CasTokenSource; pool: CodecPool }) {
    this.#http = parts.http;
    this.#tokens = parts.tokens;
    this.#pool = parts.pool;
  }

  /** The shard that brought a chunk, its chunk hashes keyed. Rejects only when the signal aborts. */
  async ask(chunk: string, signal: AbortSignal): Promise<Shard | undefined> {
    if (this.#running >= MOST_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      if (this.#stopped) return undefined;
      const shard = await this.#askNow(chunk, signal);
      this.#failures = 0;
      return shard;
    } catch (error) {
      signal.throwIfAborted();
      this.#failures++;
      this.#stopped ||= isXetError(error, 'RATE_LIMITED') || this.#failures >= MOST_FAILURES;
      return undefined;
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  #askNow(chunk: string, signal: AbortSignal): Promise<Shard | undefined> {
    return withToken(this.#tokens, signal, async (casUrl, headers) => {
      const url = `${casUrl}/v1/chunks/default/${chunk}`;
      const spec = { kind: 'cas', url, headers, signal, accept: [404, 429], attempts: ATTEMPTS } as const;
      const bytes = await this.#http.exchange(spec, (reply) => bodyOf(reply, MAX_ANSWER_BYTES));
      return bytes && this.#pool.run(readShard, bytes, [], signal);
    });
  }
}

/** The body of a 200; undefined for 404. */
async function bodyOf(reply: Reply, maxBytes: number): Promise<Uint8Array | undefined> {
  if (reply.status !== 200) {
    reply.drop();
    if (reply.status === 404) return undefined;
    // Said here and not by the door, which would wait and ask again.
    throw new XetError('RATE_LIMITED', `${publicUrl(reply.url)} asks for fewer questions.`, { status: reply.status });
  }
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of reply.chunks()) {
    length += part.length;
    if (length > maxBytes) {
      reply.drop();
      throw new XetError('PROTOCOL', `${publicUrl(reply.url)} answered more than ${maxBytes} bytes.`, {
        url: reply.url,
      });
    }
    parts.push(part);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
