import type { CodecPool } from '../../workers/pool.ts';
import { CasClient, type CasVersions } from '../cas/client.ts';
import { ChunkRecordList } from '../chunks.ts';
import { XetError } from '../errors.ts';
import { hashToHex } from '../hash.ts';
import type { Http } from '../http/http.ts';
import type { HubClient, ResolvedFile } from '../hub/client.ts';
import type { ByteRange } from '../ranges.ts';
import { assemble } from './assemble.ts';
import type { MemoryBudget } from './budget.ts';
import type { MakeContentHash, Verified } from './content-hash.ts';
import type { Lanes } from './lanes.ts';
import { readPlain } from './plain.ts';
import { planDownload } from './plan.ts';
import { SignedUrls } from './signed-urls.ts';

export interface EngineParts {
  http: Http;
  hub: HubClient;
  pool: CodecPool;
  budget: MemoryBudget;
  lanes: Lanes;
  makeHash: MakeContentHash;
  attempts: number;
  /** Ranges under way ahead of the one that is needed now. */
  lookAhead: number;
}

export interface ReadOptions {
  signal: AbortSignal;
  /** Past all caches, as an earlier try gave corrupt data. */
  fresh: boolean;
  onNetworkBytes: (bytes: number) => void;
}

/** Turns a resolved file into its bytes. Holds what all downloads of a client share. */
export class DownloadEngine {
  readonly #parts: EngineParts;
  readonly #casVersions: CasVersions = new Map();

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** How a whole read of this file is verified. */
  verifiedBy(file: ResolvedFile): Verified {
    if (file.xetHash !== undefined) return 'xet';
    return file.etag.length === 64 ? 'sha256' : 'git-sha1';
  }

  /**
   * The bytes of a half-open range, in order. When that is the whole file, the end is reached only after the
   * content was found to be what was asked for; otherwise `INTEGRITY` is thrown in its place.
   */
  read(file: ResolvedFile, range: ByteRange, options: ReadOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { http, hub, makeHash, attempts } = this.#parts;
    return file.xetHash === undefined
      ? readPlain({ http, headers: hub.headers, makeHash, attempts }, file, range, options)
      : this.#readXet(file, file.xetHash, range, options);
  }

  async *#readXet(
    file: ResolvedFile,
    fileHash: string,
    range: ByteRange,
    { signal, fresh, onNetworkBytes }: ReadOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { http, hub, pool, budget, lanes, attempts, lookAhead } = this.#parts;
    const whole = range.start === 0 && range.end === file.size;
    const records = whole ? new ChunkRecordList() : undefined;
    // An empty file has no reconstruction, and an empty range none that could be asked for.
    if (range.end > range.start) {
      const cas = new CasClient(http, hub.tokens(file.tokenUrl), this.#casVersions);
      const reconstruction = await cas.reconstruction(fileHash, range, signal);
      const urls = new SignedUrls(reconstruction, (shared) => cas.reconstruction(fileHash, range, shared));
      const plan = planDownload(reconstruction, range.end - range.start, {
        whole,
        maxHeldBytes: budget.limitBytes / 8,
      });
      const context = { http, urls, pool, budget, lanes, fresh, attempts, onNetworkBytes };
      yield* assemble(plan, context, { lookAhead, records, signal });
    }
    if (records) await this.#seal(file, fileHash, records);
  }

  async #seal(file: ResolvedFile, expected: string, records: ChunkRecordList): Promise<void> {
    const actual = hashToHex(await this.#parts.pool.fileHash(records.records.slice()));
    if (actual === expected) return;
    throw new XetError(
      'INTEGRITY',
      `'${file.path}' came with file hash ${actual}, asked for was ${expected}. The data is corrupt.`,
    );
  }
}
