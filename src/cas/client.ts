import { isXetError, XetError } from '../core/errors.ts';
import { inTurns } from '../core/event-loop.ts';
import { type ByteRange, rangeHeader } from '../core/ranges.ts';
import type { Http } from '../http/http.ts';
import { reconstructionJsonBytes } from '../http/json.ts';
import type { CasTokenSource } from '../hub/token.ts';
import { type Reconstruction, readReconstruction } from './reconstruction.ts';

/** Newest form of a call that each CAS offers, by its address. */
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

  /** Requests the reconstruction of a file, or of a half-open byte range of it. Xet protocol: reconstruction API. */
  async reconstruction(fileHash: string, range: ByteRange, signal?: AbortSignal): Promise<Reconstruction> {
    const { casUrl } = await this.#tokens.get(signal);
    const known = this.#versions.get(casUrl);
    if (known !== 1) {
      try {
        const newer = await this.#ask(2, fileHash, range, signal);
        this.#versions.set(casUrl, 2);
        return newer;
      } catch (error) {
        // An unknown file and an unknown call look the same in the newer form; the older one tells them apart.
        const unknown = isXetError(error) && (error.status === 404 || error.status === 501);
        if (known === 2 || !unknown) throw error;
      }
    }
    const older = await this.#ask(1, fileHash, range, signal);
    this.#versions.set(casUrl, 1);
    return older;
  }

  async #ask(version: 1 | 2, fileHash: string, range: ByteRange, signal?: AbortSignal): Promise<Reconstruction> {
    try {
      const path = `/v${version}/reconstructions/${fileHash}`;
      // The range is one of the file: the answer about it may be packed, unlike a part of a file.
      const headers = { range: rangeHeader(range), 'accept-encoding': 'gzip' };
      const most = reconstructionJsonBytes(range.end - range.start);
      return await inTurns(readReconstruction(await this.#authorized(path, headers, most, signal)), signal);
    } catch (error) {
      if (isXetError(error) && (error.status === 404 || error.status === 416)) {
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

  async #authorized(
    path: string,
    headers: Record<string, string>,
    mostBytes: number,
    signal?: AbortSignal,
  ): Promise<unknown> {
    return withToken(this.#tokens, signal, async (casUrl, token) => {
      const spec = { kind: 'cas' as const, url: `${casUrl}${path}`, headers: { ...headers, ...token }, signal };
      return (await this.#http.json(spec, mostBytes)).body;
    });
  }
}

/** Does something with the CAS token, given as headers; once more with a new one if it is refused. */
export async function withToken<T>(
  tokens: CasTokenSource,
  signal: AbortSignal | undefined,
  ask: (casUrl: string, headers: { authorization: string }) => Promise<T>,
): Promise<T> {
  const { casUrl, accessToken } = await tokens.get(signal);
  try {
    return await ask(casUrl, { authorization: `Bearer ${accessToken}` });
  } catch (error) {
    if (!isXetError(error, 'UNAUTHORIZED')) throw error;
    const renewed = await tokens.get(signal, accessToken);
    return ask(renewed.casUrl, { authorization: `Bearer ${renewed.accessToken}` });
  }
}
