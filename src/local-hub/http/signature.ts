import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Signs what a client carries back. The secret lives as long as the server, so nothing signed outlives it. */
export class Signer {
  readonly #secret = randomBytes(32);

  sign(text: string): string {
    return createHmac('sha256', this.#secret).update(text).digest('base64url');
  }

  matches(text: string, signature: string): boolean {
    const expected = Buffer.from(this.sign(text));
    const given = Buffer.from(signature);
    return expected.length === given.length && timingSafeEqual(expected, given);
  }
}

const EXPIRES = 'Expires';
const SIGNATURE = 'Signature';

/** A path with a query that proves who made it and until when it holds. */
export function signPath(signer: Signer, path: string, fields: Record<string, string>, expiresSeconds: number): string {
  const query = new URLSearchParams({ ...fields, [EXPIRES]: String(expiresSeconds) });
  query.set(SIGNATURE, signer.sign(`${path}?${query}`));
  return `${path}?${query}`;
}

/** True if this path and query were signed by {@link signPath} and are still valid at `nowMs`. */
export function checkSignedPath(signer: Signer, path: string, query: URLSearchParams, nowMs: number): boolean {
  const signed = new URLSearchParams(query);
  const [signature = '', ...others] = signed.getAll(SIGNATURE);
  if (others.length > 0) return false;
  signed.delete(SIGNATURE);
  return signer.matches(`${path}?${signed}`, signature) && Number(signed.get(EXPIRES)) * 1000 > nowMs;
}
