import { withToken } from '../cas/client.ts';
import type { CodecPool } from '../codec/pool.ts';
import { crc64 } from '../codec/upload-operations.ts';
import { joinedLength } from '../core/chunks.ts';
import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import { isRecord } from '../core/json-values.ts';
import type { Http } from '../http/http.ts';
import { readJson } from '../http/json.ts';
import type { Patience, Pieces, RequestSpec } from '../http/types.ts';
import type { CasTokenSource } from '../hub/token.ts';

/** Smaller xorbs take no longer to send than to ask for. */
const MIN_PROBE_BYTES = 256 * 1024;
/** Grants that may fail before the xorb is sent to the CAS itself. */
const MAX_GRANTS = 3;
const MAX_RESPONSE_BYTES = 64 * 1024;
/** Statuses of servers without grants. */
const NO_GRANT_STATUSES = [400, 404, 405, 501];
/** Headers that the runtime sends itself, and that cannot be set. */
const CONNECTION_HEADERS = new Set(['host', 'content-length', 'connection', 'transfer-encoding']);
/** Headers with which a grant could impersonate someone at its URL. */
const CREDENTIALS =
  /^(?:authorization|cookie2?|proxy-.*|metadata(?:-flavor)?|x-aws-ec2-metadata-token.*|x-forwarded-.*)$/i;

/** Permission to store one xorb at a URL outside the CAS. */
interface Grant {
  id: string;
  method: 'PUT' | 'POST';
  url: string;
  headers: Record<string, string>;
}

/** Result of storing a xorb. */
interface StoredXorb {
  /** False if the server had the xorb already. */
  inserted: boolean;
  /** Bytes of accepted request bodies; 0 if the server needed none. */
  sentBytes: number;
}

/** Result of storing a xorb, and its body, whose memory can be reused. */
type Uploaded = StoredXorb & { body: Pieces };

/** Prepares the bytes of a xorb as a body for `fetch`. */
export type MakeBody = (pieces: Pieces) => BodyInit | Promise<BodyInit>;

/** Stores xorbs with grants if the CAS offers them, else at the CAS itself. */
export class XorbUploader {
  readonly #http: Http;
  readonly #tokens: CasTokenSource;
  readonly #pool: CodecPool;
  readonly #makeBody: MakeBody | undefined;
  /** False once the CAS has said that it has no grants. */
  #grants = true;
  /** False once the CAS has failed to say whether it has a xorb. */
  #probes = true;

  constructor(parts: { http: Http; tokens: CasTokenSource; pool: CodecPool; makeBody?: MakeBody | undefined }) {
    this.#http = parts.http;
    this.#tokens = parts.tokens;
    this.#pool = parts.pool;
    this.#makeBody = parts.makeBody;
  }

  /** Number of copies of a body, beside its pieces, while it is sent: runtimes copy bodies, and most need a single buffer. */
  get copies(): number {
    return this.#makeBody || this.#http.takesPieces ? 1 : 2;
  }

  /**
   * Stores a serialized xorb, given in pieces. Their memory is transferred and returned.
   * @throws {XetError} `UNAUTHORIZED`, `FORBIDDEN`, `QUOTA`, `PROTOCOL` if the CAS rejects the xorb, and network errors
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
      const grant = await this.#requestGrant(hash, length, checksum, signal);
      if (grant === 'stored') return { inserted: false, sentBytes: 0 };
      if (grant === 'not offered') {
        // Only the first response is about grants in general; later ones may be about this xorb.
        if (attempt === 1) this.#grants = false;
        break;
      }
      const put = await this.#put(grant, body, signal);
      if (put === 'unreachable') break;
      if (put instanceof XetError) {
        // Usually the grant has expired, or another client is storing the same xorb.
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
    if (length >= MIN_PROBE_BYTES && (await this.#isStored(hash, signal))) {
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

  /** True if the CAS has a xorb, for example from an upload that was interrupted. Not every CAS can say. */
  async #isStored(hash: string, signal: AbortSignal): Promise<boolean> {
    if (!this.#probes) return false;
    try {
      return await withToken(this.#tokens, signal, async (casUrl, headers) => {
        const url = `${casUrl}/v1/xorbs/default/${hash}`;
        const reply = await this.#http.send({ kind: 'cas', url, method: 'HEAD', headers, signal, attempts: 1 });
        reply.drop();
        // Servers that respond 200 to any path send no length.
        return Number(reply.headers.get('content-length')) > 0;
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!isXetError(error)) throw error;
      // 404 is an answer. Any other error means that this CAS does not support the request.
      this.#probes = error.status === 404;
      return false;
    }
  }

  async #requestGrant(
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
      { accept: NO_GRANT_STATUSES },
      (status) => status === 201,
    );
    if (NO_GRANT_STATUSES.includes(status)) return 'not offered';
    return status === 201 ? readGrant(body, url) : 'stored';
  }

  /** Sends the xorb to the URL of the grant, with the grant's headers and without a token. */
  async #put(grant: Grant, body: Pieces, signal: AbortSignal): Promise<'sent' | 'present' | 'unreachable' | XetError> {
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
      if (reply.status === 412) return 'present';
      if (reply.status < 400) return 'sent';
      const { status, url } = reply;
      return new XetError('CONFLICT', `${publicUrl(url)} answered a xorb with ${status}.`, { status, url });
    } catch (error) {
      signal.throwIfAborted();
      if (!isXetError(error)) throw error;
      return 'unreachable';
    }
  }

  /** Commits the data of a grant; false if the server did not find it. */
  async #commit(hash: string, id: string, signal: AbortSignal): Promise<boolean> {
    const path = `/v1/xorb-commits/default/${hash}/grant/${encodeURIComponent(id)}`;
    // The server reads and verifies the whole xorb before it responds.
    const rest = { accept: [404], patience: { connect: 15 } };
    return (await this.#call(path, '', undefined, signal, rest, () => false)).status !== 404;
  }

  #call(
    path: string,
    body: NonNullable<RequestSpec['body']>,
    contentType: string | undefined,
    signal: AbortSignal,
    rest: Partial<RequestSpec>,
    /** Statuses whose response body is read. */
    hasBody: (status: number) => boolean,
  ): Promise<{ status: number; body: unknown; url: string }> {
    return withToken(this.#tokens, signal, (casUrl, token) => {
      const url = `${casUrl}${path}`;
      const headers = { ...token, ...(contentType !== undefined && { 'content-type': contentType }) };
      return this.#http.exchange(
        { kind: 'cas', url, method: 'POST', headers, body, signal, ...rest },
        async (reply) => {
          const { status } = reply;
          if (hasBody(status)) return { status, body: await readJson(reply, MAX_RESPONSE_BYTES), url };
          reply.drop();
          return { status, body: undefined, url };
        },
      );
    });
  }
}

/** Bytes as a request body. The cast is safe: none of our arrays use shared memory. */
export function asBody(bytes: Uint8Array): BodyInit {
  return bytes as Uint8Array<ArrayBuffer>;
}

/** Timeouts for a request whose body the server processes before it responds. */
export function sending(bytes: number): Patience {
  return { sendBytes: bytes, connect: 3 };
}

function insertedIn(body: unknown, url: string): boolean {
  if (isRecord(body) && typeof body.was_inserted === 'boolean') return body.was_inserted;
  throw new XetError('PROTOCOL', `${publicUrl(url)} did not report whether it stored the xorb. Try the upload again.`, {
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
    const reason = refused === undefined ? 'without encryption' : `with the header '${refused.slice(0, 40)}'`;
    throw new XetError('PROTOCOL', `${publicUrl(url)} returned an upload grant ${reason}. Nothing was sent to it.`, {
      url,
    });
  }
  if (!sound) {
    throw new XetError('PROTOCOL', `${publicUrl(url)} returned a malformed upload grant. Try the upload again.`, {
      url,
    });
  }
  const settable = given.filter(([name]) => !CONNECTION_HEADERS.has(name.toLowerCase()));
  return { id, method, url: to, headers: Object.fromEntries(settable) as Record<string, string> };
}
