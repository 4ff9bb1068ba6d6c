import { withToken } from '../cas/client.ts';
import type { CodecPool } from '../codec/pool.ts';
import { crc64 } from '../codec/upload-operations.ts';
import { joinedLength } from '../core/chunks.ts';
import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import type { Http, Patience, Pieces, RequestSpec } from '../http/http.ts';
import { readJson } from '../http/json.ts';
import type { CasTokenSource } from '../hub/token.ts';
import type { MakeBody } from './web-body.ts';

/** Sending less takes no longer than asking whether it must be sent. */
const WORTH_ASKING_BYTES = 256 * 1024;
/** Grants that are asked for in vain before the xorb goes to the CAS itself. */
const MAX_GRANTS = 3;
const ANSWER_LIMIT_BYTES = 64 * 1024;
/** Statuses of servers without grants. */
const NO_GRANTS = [400, 404, 405, 501];
/** Headers of a grant that the runtime sends itself, and lets nobody set. */
const OF_THE_CONNECTION = new Set(['host', 'content-length', 'connection', 'transfer-encoding']);
/** Headers that would let whoever answers for the CAS act as somebody else where the grant leads. */
const CREDENTIALS =
  /^(?:authorization|cookie2?|proxy-.*|metadata(?:-flavor)?|x-aws-ec2-metadata-token.*|x-forwarded-.*)$/i;

/** Leave to store one xorb past the CAS. */
interface Grant {
  id: string;
  method: 'PUT' | 'POST';
  url: string;
  headers: Record<string, string>;
}

/** How a xorb got where it is. */
export interface StoredXorb {
  /** False where the server had it already. */
  inserted: boolean;
  /** Bytes of bodies that were sent for it and accepted; 0 where the server wanted none. */
  sentBytes: number;
}

/** The same, and the memory that its body was in: nobody looks at it any more. */
type Uploaded = StoredXorb & { body: Pieces };

/** Stores xorbs: through grants where the CAS offers them, else by giving them to the CAS. */
export class XorbUploader {
  readonly #http: Http;
  readonly #tokens: CasTokenSource;
  readonly #pool: CodecPool;
  readonly #makeBody: MakeBody | undefined;
  /** Until a CAS says that it does not know of them. */
  #grants = true;
  /** As long as it answers whether it has a xorb. */
  #probes = true;

  constructor(parts: { http: Http; tokens: CasTokenSource; pool: CodecPool; makeBody?: MakeBody | undefined }) {
    this.#http = parts.http;
    this.#tokens = parts.tokens;
    this.#pool = parts.pool;
    this.#makeBody = parts.makeBody;
  }

  /** How often a body is in memory beside its pieces while it is sent: runtimes copy what they are given, and most want it in one. */
  get copies(): number {
    return this.#makeBody || this.#http.takesPieces ? 1 : 2;
  }

  /**
   * Stores a serialised xorb, given in pieces, whose memory is moved and comes back. Throws what the CAS says of it: `UNAUTHORIZED`, `FORBIDDEN`,
   * `QUOTA`, `PROTOCOL` for one that it does not accept, and what lasts of network failures.
   */
  async upload(hash: string, pieces: Pieces, signal: AbortSignal): Promise<Uploaded> {
    if (!this.#grants) return { ...(await this.#post(hash, pieces, signal)), body: pieces };
    let checksum = 0n;
    const body: Uint8Array[] = [];
    for (const piece of pieces) {
      const summed = await this.#pool.run(crc64, piece, [checksum], signal);
      checksum = summed.checksum;
      body.push(summed.bytes);
    }
    return { ...(await this.#grantedOrPosted(hash, body, checksum, signal)), body };
  }

  async #grantedOrPosted(hash: string, body: Pieces, checksum: bigint, signal: AbortSignal): Promise<StoredXorb> {
    const length = joinedLength(body);
    for (let attempt = 1; attempt <= MAX_GRANTS && this.#grants; attempt++) {
      const grant = await this.#ask(hash, length, checksum, signal);
      if (grant === 'stored') return { inserted: false, sentBytes: 0 };
      if (grant === 'not offered') {
        // Only the first answer is about grants as such; later ones may be about this xorb.
        if (attempt === 1) this.#grants = false;
        break;
      }
      const put = await this.#put(grant, body, signal);
      if (put === 'unreachable') break;
      if (put instanceof XetError) {
        // Mostly a grant that has run out, or the same xorb on its way from elsewhere.
        if (attempt < MAX_GRANTS) await this.#http.pause(attempt, MAX_GRANTS, put, 'xorb', signal);
        continue;
      }
      if (await this.#commit(hash, grant.id, signal)) {
        return { inserted: true, sentBytes: put === 'sent' ? length : 0 };
      }
    }
    return this.#post(hash, body, signal);
  }

  async #post(hash: string, body: Pieces, signal: AbortSignal): Promise<StoredXorb> {
    const length = joinedLength(body);
    if (length >= WORTH_ASKING_BYTES && (await this.#isStored(hash, signal))) {
      return { inserted: false, sentBytes: 0 };
    }
    const path = `/v1/xorbs/default/${hash}`;
    const patience = sending(length);
    const sent = await this.#bodyOf(body);
    const answer = await this.#call(path, sent, 'application/octet-stream', signal, { patience }, () => true);
    return { inserted: insertedIn(answer.body, answer.url), sentBytes: length };
  }

  #bodyOf(pieces: Pieces): NonNullable<RequestSpec['body']> | Promise<BodyInit> {
    return this.#makeBody ? this.#makeBody(pieces) : pieces;
  }

  /** Whether the CAS has a xorb, as after an upload that was ended before it was registered. Not every one tells. */
  async #isStored(hash: string, signal: AbortSignal): Promise<boolean> {
    if (!this.#probes) return false;
    try {
      return await withToken(this.#tokens, signal, async (casUrl, headers) => {
        const url = `${casUrl}/v1/xorbs/default/${hash}`;
        const reply = await this.#http.send({ kind: 'cas', url, method: 'HEAD', headers, signal, attempts: 1 });
        reply.drop();
        // A server that says 200 to anything says no length.
        return Number(reply.headers.get('content-length')) > 0;
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!isXetError(error)) throw error;
      // 404 is an answer; anything else means that this is no question for this CAS.
      this.#probes = error.status === 404;
      return false;
    }
  }

  async #ask(
    hash: string,
    length: number,
    checksum: bigint,
    signal: AbortSignal,
  ): Promise<Grant | 'stored' | 'not offered'> {
    const request = JSON.stringify({ length, checksum: { algo: 'crc64nvme', value: checksum.toString() } });
    const { status, body, url } = await this.#call(
      `/v1/xorb-grants/default/${hash}`,
      request,
      'application/json',
      signal,
      { accept: NO_GRANTS },
      (status) => status === 201,
    );
    if (NO_GRANTS.includes(status)) return 'not offered';
    return status === 201 ? readGrant(body, url) : 'stored';
  }

  /** Sends the xorb to where the grant says, with the grant's headers and no token. */
  async #put(
    grant: Grant,
    body: Pieces,
    signal: AbortSignal,
  ): Promise<'sent' | 'there already' | 'unreachable' | XetError> {
    try {
      const reply = await this.#http.send({
        kind: 'xorb',
        url: grant.url,
        method: grant.method,
        headers: grant.headers,
        body: await this.#bodyOf(body),
        signal,
        accept: [400, 403, 409, 412],
        patience: sending(joinedLength(body)),
      });
      reply.drop();
      if (reply.status === 412) return 'there already';
      if (reply.status < 400) return 'sent';
      const { status, url } = reply;
      return new XetError('CONFLICT', `${publicUrl(url)} answered ${status} to a xorb.`, { status, url });
    } catch (error) {
      signal.throwIfAborted();
      if (!isXetError(error)) throw error;
      return 'unreachable';
    }
  }

  /** Whether the data of a grant was found, and so is stored now. */
  async #commit(hash: string, id: string, signal: AbortSignal): Promise<boolean> {
    const path = `/v1/xorb-commits/default/${hash}/grant/${encodeURIComponent(id)}`;
    // The server reads and checks the whole xorb before it answers.
    const rest = { accept: [404], patience: { connect: 15 } };
    return (await this.#call(path, '', undefined, signal, rest, () => false)).status !== 404;
  }

  #call(
    path: string,
    body: NonNullable<RequestSpec['body']>,
    contentType: string | undefined,
    signal: AbortSignal,
    rest: Partial<RequestSpec>,
    /** At which statuses the body of the answer says something. */
    says: (status: number) => boolean,
  ): Promise<{ status: number; body: unknown; url: string }> {
    return withToken(this.#tokens, signal, (casUrl, token) => {
      const url = `${casUrl}${path}`;
      const headers = { ...token, ...(contentType !== undefined && { 'content-type': contentType }) };
      return this.#http.exchange(
        { kind: 'cas', url, method: 'POST', headers, body, signal, ...rest },
        async (reply) => {
          const { status } = reply;
          if (says(status)) return { status, body: await readJson(reply, ANSWER_LIMIT_BYTES), url };
          reply.drop();
          return { status, body: undefined, url };
        },
      );
    });
  }
}

/** Bytes as a body: typed arrays over shared memory, which the type allows for, never get here. */
export function asBody(bytes: Uint8Array): BodyInit {
  return bytes as Uint8Array<ArrayBuffer>;
}

/** The server looks at all that was sent before it answers. */
export function sending(bytes: number): Patience {
  return { sendBytes: bytes, connect: 3 };
}

function insertedIn(body: unknown, url: string): boolean {
  if (isRecord(body) && typeof body.was_inserted === 'boolean') return body.was_inserted;
  throw new XetError('PROTOCOL', `${publicUrl(url)} did not say whether it stored the xorb. Try the upload again.`, {
    url,
  });
}

function readGrant(body: unknown, url: string): Grant {
  const { id, method, url: to, headers } = isRecord(body) ? body : {};
  const given = isRecord(headers) ? Object.entries(headers) : [];
  const sound =
    typeof id === 'string' &&
    id !== '' &&
    (method === 'PUT' || method === 'POST') &&
    typeof to === 'string' &&
    /^https?:\/\//i.test(to) &&
    URL.canParse(to) &&
    given.every(([, value]) => typeof value === 'string');
  const refused = given.find(([name]) => CREDENTIALS.test(name))?.[0];
  if (sound && (refused !== undefined || (/^https:/i.test(url) && !/^https:/i.test(to)))) {
    const why = refused === undefined ? 'that is not encrypted' : `with a header '${refused.slice(0, 40)}'`;
    throw new XetError('PROTOCOL', `${publicUrl(url)} gave a grant ${why}. Nothing was sent there.`, { url });
  }
  if (!sound) {
    throw new XetError('PROTOCOL', `${publicUrl(url)} gave a grant that is none. Try the upload again.`, { url });
  }
  const own = given.filter(([name]) => !OF_THE_CONNECTION.has(name.toLowerCase()));
  return { id, method, url: to, headers: Object.fromEntries(own) as Record<string, string> };
}
