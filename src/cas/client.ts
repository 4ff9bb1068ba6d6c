import { isXetError, XetError } from '../errors.ts';
import type { Http, Reply } from '../http/http.ts';
import { readJson } from '../http/json.ts';
import type { CasTokenSource } from '../hub/token.ts';
import { type ByteRange, rangeHeader } from '../ranges.ts';
import { type Reconstruction, readReconstruction } from './reconstruction.ts';

/** Which forms of a call a CAS turned out to offer, by its address. */
export type CasVersions = Map<string, 1 | 2>;

/** The CAS as one token route opens it. */
export class CasClient {
  readonly #http: Http;
  readonly #tokens: CasTokenSource;
  readonly #versions: CasVersions;

  constructor(http: Http, tokens: CasTokenSource, versions: CasVersions) {
    this.#http = http;
    this.#tokens = tokens;
    this.#versions = versions;
  }

  /** How to put a file together, or the half-open byte range of it. */
  async reconstruction(fileHash: string, range: ByteRange, signal?: AbortSignal): Promise<Reconstruction> {
    const { casUrl } = await this.#tokens.get(signal);
    const known = this.#versions.get(casUrl);
    if (known !== 1) {
      const newer = await this.#ask(2, fileHash, range, known === undefined ? [404, 501] : [], signal);
      if (newer.status !== 404 && newer.status !== 501) {
        this.#versions.set(casUrl, 2);
        return this.#read(newer);
      }
      newer.drop();
    }
    // An unknown file and an unknown call look the same in the newer form; the older one tells them apart.
    const older = await this.#ask(1, fileHash, range, [], signal);
    this.#versions.set(casUrl, 1);
    return this.#read(older);
  }

  async #read(reply: Reply): Promise<Reconstruction> {
    return readReconstruction(await readJson(reply));
  }

  async #ask(
    version: 1 | 2,
    fileHash: string,
    range: ByteRange,
    accept: number[],
    signal?: AbortSignal,
  ): Promise<Reply> {
    try {
      return await this.#authorized(
        `/v${version}/reconstructions/${fileHash}`,
        { range: rangeHeader(range) },
        accept,
        signal,
      );
    } catch (error) {
      if (isXetError(error, 'ENTRY_NOT_FOUND') || (isXetError(error) && error.status === 416)) {
        throw new XetError('ENTRY_NOT_FOUND', `The CAS does not know file ${fileHash}.`, {
          status: error.status,
          url: error.url,
          requestId: error.requestId,
          cause: error,
        });
      }
      throw error;
    }
  }

  /** Sends with the CAS token, once more with a new one if it is refused. */
  async #authorized(
    path: string,
    headers: Record<string, string>,
    accept: number[],
    signal?: AbortSignal,
  ): Promise<Reply> {
    const access = await this.#tokens.get(signal);
    const send = (token: string) =>
      this.#http.send({
        kind: 'cas',
        url: `${access.casUrl}${path}`,
        headers: { ...headers, authorization: `Bearer ${token}` },
        signal,
        accept,
      });
    try {
      return await send(access.accessToken);
    } catch (error) {
      if (!isXetError(error, 'UNAUTHORIZED')) throw error;
      return send((await this.#tokens.get(signal, access.accessToken)).accessToken);
    }
  }
}
