import { withToken } from '../cas/client.ts';
import { isXetError, publicText, publicUrl, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import type { Http, Reply } from '../http/http.ts';
import { readJson } from '../http/json.ts';
import type { CasTokenSource } from '../hub/token.ts';
import { asBody, sending } from './xorb-upload.ts';

/** Of one event, of all of them, and how many: a server says something every 20 s, for minutes. */
const MOST_LINE_LENGTH = 16 * 1024;
const MOST_BYTES = 1024 * 1024;
const MOST_EVENTS = 10_000;
const ANSWER_LIMIT_BYTES = 64 * 1024;
/** Servers say something about every 20 s while they work, which is the stall timeout itself. */
const SILENCE = 4;
/** The older call says nothing until all is done, which may take minutes. */
const OLDER_ANSWER = 30;

/** Registers shards: by the newer call, whose answer is a stream of what is being done, or by the older one. */
export class ShardUploader {
  readonly #http: Http;
  readonly #tokens: CasTokenSource;
  #version: 1 | 2 | undefined;

  constructor(parts: { http: Http; tokens: CasTokenSource }) {
    this.#http = parts.http;
    this.#tokens = parts.tokens;
  }

  /** Registers what a shard says; all its xorbs are stored. Throws what the server has against it. */
  async upload(shard: Uint8Array, signal: AbortSignal): Promise<void> {
    if (this.#version !== 1) {
      try {
        await this.#send(2, shard, signal, readProgress);
        this.#version = 2;
        return;
      } catch (error) {
        const unknown = isXetError(error) && (error.status === 404 || error.status === 501);
        if (this.#version === 2 || !unknown) throw error;
      }
    }
    await this.#send(1, shard, signal, readOutcome);
    this.#version = 1;
  }

  #send(
    version: 1 | 2,
    shard: Uint8Array,
    signal: AbortSignal,
    takeIn: (reply: Reply) => Promise<void>,
  ): Promise<void> {
    return withToken(this.#tokens, signal, (casUrl, token) => {
      const patience = { ...sending(shard.length), stall: SILENCE, ...(version === 1 && { connect: OLDER_ANSWER }) };
      return this.#http.exchange(
        {
          kind: 'cas',
          url: `${casUrl}/v${version}/shards`,
          method: 'POST',
          headers: { ...token, 'content-type': 'application/octet-stream' },
          body: asBody(shard),
          signal,
          patience,
        },
        takeIn,
      );
    });
  }
}

async function readOutcome(reply: Reply): Promise<void> {
  const body = await readJson(reply, ANSWER_LIMIT_BYTES);
  if (isRecord(body) && (body.result === 0 || body.result === 1)) return;
  throw new XetError('PROTOCOL', `${publicUrl(reply.url)} did not say whether it took the shard.`, { url: reply.url });
}

/** Reads what the server does until it says how that ended. The status came before the work, and means nothing. */
async function readProgress(reply: Reply): Promise<void> {
  for await (const line of lines(reply)) {
    const said = parse(line, reply.url);
    if (said.type === 'result') {
      // Nothing that is of any interest follows.
      reply.drop();
      return;
    }
    if (said.type === 'error') throw refusal(said, reply.url);
  }
  throw new XetError('NETWORK', `${publicUrl(reply.url)} ended its answer without saying how it ended.`, {
    url: reply.url,
    retryable: true,
  });
}

function refusal({ message, retryable }: Record<string, unknown>, url: string): XetError {
  const why = typeof message === 'string' ? publicText(message).slice(0, 300) : 'no reason given';
  const again = retryable === true;
  return new XetError(
    again ? 'SERVER' : 'PROTOCOL',
    `${publicUrl(url)} did not take the shard ("${why}"). ${again ? 'Try again later.' : 'Nothing was registered.'}`,
    { url, retryable: again, serverMessage: why },
  );
}

function parse(line: string, url: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (isRecord(value)) return value;
  } catch {
    // What is no JSON is as little use as JSON that is no object.
  }
  throw new XetError('PROTOCOL', `${publicUrl(url)} answered with a line that is no JSON object.`, {
    url,
    retryable: true,
  });
}

/** The lines of a body that are not empty. The pace of a body is bounded, so a bound of its bytes is one of its time. */
async function* lines(reply: Reply): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let begun = '';
  let bytes = 0;
  let events = 0;
  for await (const piece of reply.chunks()) {
    bytes += piece.length;
    const parts = (begun + decoder.decode(piece, { stream: true })).split('\n');
    begun = parts.pop() ?? '';
    for (const line of parts) {
      if (++events > MOST_EVENTS || line.length > MOST_LINE_LENGTH) throw tooMuch(reply.url);
      if (line.trim() !== '') yield line;
    }
    if (bytes > MOST_BYTES || begun.length > MOST_LINE_LENGTH) throw tooMuch(reply.url);
  }
  begun += decoder.decode();
  if (begun.trim() !== '') yield begun;
}

function tooMuch(url: string): XetError {
  return new XetError(
    'PROTOCOL',
    `${publicUrl(url)} answered an upload with more than it may and no outcome. Upload again: what is stored is not sent again.`,
    { url },
  );
}
