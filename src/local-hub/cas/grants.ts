import { randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import type { Codec } from '../../codec/codec.ts';
import { type Caller, sameCaller } from '../caller.ts';
import { type HubContext, nowSeconds, signedUrl } from '../context.ts';
import { asObject, bodyPieces, readJsonObject } from '../http/body-reader.ts';
import type { HubExchange } from '../http/exchange.ts';
import { checkSignedPath } from '../http/signature.ts';
import { requireScope } from '../hub/xet-token.ts';
import { HubError } from '../hub-error.ts';
import { writeAll } from '../store/atomic-file.ts';
import { readPieces } from '../store/read-pieces.ts';
import { MAX_XORB_BODY_BYTES, receiveXorb } from '../store/receive-xorb.ts';

/** Headers that an upload must carry exactly; which ones is the server's affair, so clients cannot guess them. */
const CHECKSUM_HEADER = 'x-checksum-crc64nvme';

const MAX_GRANTS = 10_000;

interface Grant {
  /** The caller who requested the grant, and so will commit the content. */
  caller: Caller;
  hash: string;
  length: number;
  checksum: string;
  expiresSeconds: number;
  state: 'open' | 'receiving' | 'received';
  staged: string;
}

/** Leave to upload one xorb past the CAS, straight to where it is kept. */
export class Grants {
  readonly #grants = new Map<string, Grant>();

  /** `POST xorb-grants/default/{hash}`: 201 with a grant, or 200 where the xorb is stored already. */
  async offer(context: HubContext, exchange: HubExchange, hash: string): Promise<void> {
    const caller = requireScope(context, exchange, 'write');
    if (!context.settings.grants) throw new HubError(404, 'Not found');
    const { length, checksum } = await readJsonObject(exchange.request, 64 * 1024);
    const { algo, value } = asObject(checksum);
    if (typeof length !== 'number' || !Number.isSafeInteger(length) || length <= 0 || length > MAX_XORB_BODY_BYTES) {
      throw new HubError(400, 'Invalid length');
    }
    if (algo !== 'crc64nvme' || typeof value !== 'string' || !/^\d{1,20}$/.test(value)) {
      throw new HubError(400, 'Invalid checksum');
    }
    const { uploads, xorbs } = context.store;
    if (uploads.hasXorb(caller, hash) && (await xorbs.whole(hash))) return exchange.json(200, {});
    await this.#dropExpired(context);
    if (this.#grants.size >= MAX_GRANTS) {
      throw new HubError(503, 'Too many uploads are under way. Try again.', undefined, { 'retry-after': '5' });
    }
    const id = randomBytes(16).toString('base64url');
    const { staging } = context.store;
    const expiresSeconds = nowSeconds(context) + context.settings.urlLifetimeSeconds;
    this.#grants.set(id, {
      caller,
      hash,
      length,
      checksum: value,
      expiresSeconds,
      state: 'open',
      staged: staging.path(),
    });
    await exchange.json(201, {
      id,
      method: 'PUT',
      url: signedUrl(context, exchange, `/xorb-uploads/${id}`),
      headers: { 'content-type': 'application/octet-stream', [CHECKSUM_HEADER]: value },
    });
  }

  /** The upload itself. The address is the credential: a token here would be one that leaked. */
  async receive(context: HubContext, exchange: HubExchange, id: string): Promise<void> {
    const grant = this.#grants.get(id);
    if (!grant || !checkSignedPath(context.signer, exchange.path, exchange.query, context.settings.now())) {
      throw new HubError(403, 'Access denied');
    }
    if (exchange.header('authorization') !== undefined)
      throw new HubError(400, 'Only one way of authorization is allowed');
    if (exchange.header(CHECKSUM_HEADER) !== grant.checksum) throw new HubError(403, 'A signed header is missing');
    if (grant.state === 'received') throw new HubError(412, 'The data is there already');
    if (grant.state === 'receiving') throw new HubError(409, 'The data is being received');
    grant.state = 'receiving';
    let done = false;
    try {
      await this.#store(context.codec, grant, bodyPieces(exchange.request));
      done = true;
    } finally {
      grant.state = done ? 'received' : 'open';
      if (!done) await rm(grant.staged, { force: true });
    }
    await exchange.send(200, {});
  }

  async #store(codec: Codec, grant: Grant, body: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await open(grant.staged, 'w');
    try {
      let checksum = 0n;
      let received = 0;
      for await (const piece of body) {
        received += piece.length;
        if (received > grant.length) break;
        checksum = codec.crc64(piece, checksum);
        await writeAll(file, piece);
      }
      if (received !== grant.length) throw new HubError(400, 'The length is not the one of the grant');
      if (checksum !== BigInt(grant.checksum)) throw new HubError(400, 'The checksum does not match');
    } finally {
      await file.close();
    }
  }

  /** `POST xorb-commits/default/{hash}/grant/{id}`: checks the data like any other xorb and stores it. */
  async commit(context: HubContext, exchange: HubExchange, hash: string, id: string): Promise<void> {
    const caller = requireScope(context, exchange, 'write');
    const grant = this.#grants.get(id);
    if (!grant || !sameCaller(grant.caller, caller) || grant.hash !== hash || grant.state !== 'received')
      throw new HubError(404, 'No data for this grant');
    const { codec, store } = context;
    this.#grants.delete(id);
    try {
      const body = readPieces(grant.staged, { start: 0, end: grant.length });
      await receiveXorb(codec, store.xorbs, store.staging, hash, body);
      store.uploads.addXorb(caller, hash);
      // Nothing but the status, as HF's own server.
      await exchange.send(200, {});
    } finally {
      await rm(grant.staged, { force: true });
    }
  }

  async #dropExpired(context: HubContext): Promise<void> {
    for (const [id, grant] of this.#grants) {
      if (grant.expiresSeconds > nowSeconds(context) || grant.state === 'receiving') continue;
      this.#grants.delete(id);
      await rm(grant.staged, { force: true });
    }
  }
}
