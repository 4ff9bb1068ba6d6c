import { withToken } from '../cas/client.ts';
import type { ShardFile } from '../codec/shard.ts';
import { isXetError, publicText, publicUrl, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import type { Http } from '../http/http.ts';
import { readJson } from '../http/json.ts';
import type { Reply } from '../http/types.ts';
import type { CasTokenSource } from '../hub/token.ts';
import { asBody, sending } from './xorb-upload.ts';

/** Limits of the event stream. Servers send an event every 20 s, for minutes. */
const MAX_LINE_LENGTH = 16 * 1024;
const MAX_STREAM_BYTES = 1024 * 1024;
const MAX_EVENTS = 10_000;
const MAX_RESPONSE_BYTES = 64 * 1024;
/** Multiple of the stall timeout. Servers send an event every 20 s, which is the stall timeout itself. */
const STALL_FACTOR = 4;
/** Multiple of the connect timeout. The first version responds only when all is done, which may take minutes. */
const V1_CONNECT_FACTOR = 30;

/** Registers shards: with version 2 of the call, which responds with a stream of events, or with version 1. */
export class ShardUploader {
  readonly #http: Http;
  readonly #tokens: CasTokenSource;
  #version: 1 | 2 | undefined;

  constructor(parts: { http: Http; tokens: CasTokenSource }) {
    this.#http = parts.http;
    this.#tokens = parts.tokens;
  }

  /**
   * Registers a shard, whose xorbs must be stored.
   * @throws {XetError} `PROTOCOL` if the server rejects the shard, `SERVER` or `NETWORK` if it failed and may be retried
   */
  async upload(shard: Uint8Array, signal: AbortSignal): Promise<void> {
    if (this.#version !== 1) {
      try {
        await this.#send(2, shard, signal, readEvents);
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

  #send(version: 1 | 2, shard: Uint8Array, signal: AbortSignal, read: (reply: Reply) => Promise<void>): Promise<void> {
    return withToken(this.#tokens, signal, (casUrl, token) => {
      const patience = {
        ...sending(shard.length),
        stall: STALL_FACTOR,
        ...(version === 1 && { connect: V1_CONNECT_FACTOR }),
      };
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
        read,
      );
    });
  }
}

async function readOutcome(reply: Reply): Promise<void> {
  const body = await readJson(reply, MAX_RESPONSE_BYTES);
  if (isRecord(body) && (body.result === 0 || body.result === 1)) return;
  throw new XetError('PROTOCOL', `${publicUrl(reply.url)} did not report whether it registered the shard.`, {
    url: reply.url,
  });
}

/** Reads events until the result. The HTTP status was sent before the work, so it says nothing about the result. */
async function readEvents(reply: Reply): Promise<void> {
  for await (const line of lines(reply)) {
    const event = parse(line, reply.url);
    if (event.type === 'result') {
      reply.drop();
      return;
    }
    if (event.type === 'error') throw refusal(event, reply.url);
  }
  throw new XetError('NETWORK', `${publicUrl(reply.url)} ended its response without a result.`, {
    url: reply.url,
    retryable: true,
  });
}

function refusal({ message, retryable }: Record<string, unknown>, url: string): XetError {
  const reason = typeof message === 'string' ? publicText(message).slice(0, 300) : 'no reason given';
  const again = retryable === true;
  return new XetError(
    again ? 'SERVER' : 'PROTOCOL',
    `${publicUrl(url)} rejected the shard ("${reason}"). ${again ? 'Try again later.' : 'Nothing was registered.'}`,
    { url, retryable: again, serverMessage: reason },
  );
}

function parse(line: string, url: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (isRecord(value)) return value;
  } catch {
    // Reported below, like JSON that is not an object.
  }
  throw new XetError('PROTOCOL', `${publicUrl(url)} sent an event that is not a JSON object.`, {
    url,
    retryable: true,
  });
}

/** The non-empty lines of a body. Its minimum speed is enforced, so a limit of its size also limits its time. */
async function* lines(reply: Reply): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let incomplete = '';
  let bytes = 0;
  let events = 0;
  for await (const piece of reply.chunks()) {
    bytes += piece.length;
    const parts = (incomplete + decoder.decode(piece, { stream: true })).split('\n');
    incomplete = parts.pop() ?? '';
    for (const line of parts) {
      if (++events > MAX_EVENTS || line.length > MAX_LINE_LENGTH) throw tooMuch(reply.url);
      if (line.trim() !== '') yield line;
    }
    if (bytes > MAX_STREAM_BYTES || incomplete.length > MAX_LINE_LENGTH) throw tooMuch(reply.url);
  }
  incomplete += decoder.decode();
  if (incomplete.trim() !== '') yield incomplete;
}

function tooMuch(url: string): XetError {
  return new XetError(
    'PROTOCOL',
    `${publicUrl(url)} exceeded the limits of an event stream without a result. Upload again: stored data is not sent again.`,
    { url },
  );
}

/** A xorb in a shard. */
interface ListedXorb {
  hash: string;
  /** Number of chunks. */
  count: number;
}

/** Contents of one shard. */
export interface ShardGroup<X extends ListedXorb> {
  xorbs: X[];
  files: ShardFile[];
}

/** Xet protocol, shard format: servers accept up to 64 MiB, and every record has 48 bytes. */
const MAX_SHARD_BYTES = 64 * 1024 * 1024;
const RECORD_BYTES = 48;
/** Header, and the end marks of both sections. */
const FRAME_BYTES = 3 * RECORD_BYTES;

/**
 * Divides xorbs and files among shards within the size limit, usually one. Xorbs come first, so that no file is registered
 * before its xorbs. A file that is listed twice is registered once.
 */
export function shardGroups<X extends ListedXorb>(
  xorbs: readonly X[],
  files: readonly ShardFile[],
  maxBytes = MAX_SHARD_BYTES,
): ShardGroup<X>[] {
  const groups: ShardGroup<X>[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  const roomFor = (records: number): ShardGroup<X> => {
    const needed = records * RECORD_BYTES;
    const last = groups.at(-1);
    if (last && bytes + needed <= maxBytes) {
      bytes += needed;
      return last;
    }
    const group: ShardGroup<X> = { xorbs: [], files: [] };
    groups.push(group);
    bytes = FRAME_BYTES + needed;
    return group;
  };
  for (const xorb of xorbs) roomFor(1 + xorb.count).xorbs.push(xorb);
  const seen = new Set<string>();
  for (const file of files) {
    if (seen.has(file.hash)) continue;
    seen.add(file.hash);
    roomFor(2 + 2 * file.terms.length).files.push(file);
  }
  return groups;
}
