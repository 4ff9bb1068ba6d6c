import type { RecipeStore } from '../cache/recipes/recipe-store.ts';
import { CasClient, withToken } from '../cas/client.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { Shard } from '../codec/shard.ts';
import { keyedHashes, readShard } from '../codec/upload-operations.ts';
import { type ChunkRecords, chunkHashHex } from '../core/chunks.ts';
import { isXetError, publicUrl, XetError } from '../core/errors.ts';
import type { Http } from '../http/http.ts';
import type { Reply } from '../http/types.ts';
import type { CasTokenSource } from '../hub/token.ts';
import type { KnownPlaces } from './choose-sources.ts';
import { ChunkIndex, eligibleChunks } from './chunk-index.ts';
import type { CutBlock } from './cut-file.ts';
import type { XorbName } from './file-terms.ts';
import { KnownRecipes, readRecipes } from './known-recipes.ts';

export interface KnownChunksContext {
  http: Http;
  /** CAS tokens of the target repository. */
  tokens: CasTokenSource;
  pool: CodecPool;
  /** Recipes of files that were downloaded or uploaded before. */
  recipes?: Pick<RecipeStore, 'get' | 'list'> | undefined;
  now?: () => number;
}

/** Maximum size of the recipes that an upload reads: those of about 50 GB of files. */
const MAX_RECIPE_BYTES = 32 * 1024 * 1024;

/** Places of chunks that an upload knows from its own xorbs, from recipes and from the CAS. */
export class KnownChunks {
  readonly #pool: CodecPool;
  readonly #index = new ChunkIndex();
  readonly #queries: ChunkQueries;
  readonly #recipes: KnownRecipes;
  /** Hashes of the chunks queried so far. */
  readonly #queried = new Set<string>();
  readonly #now: () => number;

  private constructor(context: KnownChunksContext, recipes: KnownRecipes) {
    this.#pool = context.pool;
    this.#queries = new ChunkQueries(context);
    this.#recipes = recipes;
    this.#now = context.now ?? Date.now;
  }

  /** @param likely Xet hashes of files that probably share chunks with the upload. */
  static async open(context: KnownChunksContext, likely: readonly string[]): Promise<KnownChunks> {
    const { recipes, http, tokens } = context;
    const cas = new CasClient(http, tokens, new Map());
    const found = recipes ? await readRecipes(recipes, likely, MAX_RECIPE_BYTES) : [];
    const termsOnCas = async ({ fileHash, size }: { fileHash: string; size: number }, signal: AbortSignal) => {
      try {
        return (await cas.reconstruction(fileHash, { start: 0, end: size }, signal)).terms;
      } catch (error) {
        signal.throwIfAborted();
        // The file is unknown there, or the CAS cannot say. The upload is correct without it.
        if (!isXetError(error)) throw error;
        return undefined;
      }
    };
    return new KnownChunks(context, new KnownRecipes(found, termsOnCas));
  }

  /** Learns from recipes and the CAS where the chunks of a block are stored. */
  async query({ chunks, startsFile }: Pick<CutBlock, 'chunks' | 'startsFile'>, signal: AbortSignal): Promise<void> {
    await this.#recipes.confirm(chunks, (xorb, first, records) => this.#index.add(xorb, first, records), signal);
    const eligible = eligibleChunks(chunks, startsFile);
    if (eligible.length === 0 || !this.#index.hasRoom) return;
    const known = await this.lookup(chunks, signal);
    const unknown = eligible.filter((position) => !known.find(position, undefined));
    const hashes = new Set(unknown.map((position) => chunkHashHex(chunks, position)));
    await Promise.all(
      [...hashes].map(async (hash) => {
        if (this.#queried.has(hash)) return;
        this.#queried.add(hash);
        const shard = await this.#queries.query(hash, signal);
        if (shard) this.#index.learn(shard, this.#nowSeconds());
      }),
    );
  }

  /** Known places of these chunks. */
  lookup(chunks: ChunkRecords, signal: AbortSignal): Promise<KnownPlaces> {
    const keyHashes = (hashes: Uint8Array, key: Uint8Array) => this.#pool.run(keyedHashes, hashes, [key], signal);
    return this.#index.lookup(chunks, keyHashes, this.#nowSeconds());
  }

  /** Adds chunks that this upload stores in a xorb, from its chunk `first` on. */
  add(xorb: XorbName, first: number, records: ChunkRecords): void {
    this.#index.add(xorb, first, records);
  }

  #nowSeconds(): number {
    return this.#now() / 1000;
  }
}

/** Servers keep shards below 64 MiB. */
const MAX_SHARD_BYTES = 80 * 1024 * 1024;
/** A query saves an upload of 64 MiB at best, so more attempts are not worth the time. */
const MAX_ATTEMPTS = 2;
const MAX_CONCURRENT_QUERIES = 8;
/** After this many failures in a row the CAS is not queried again. */
const MAX_FAILURES = 4;

/**
 * Queries the CAS for the xorbs that were registered with a chunk (Xet protocol: deduplication). An upload is correct
 * without the answers, so any failure of the CAS means "unknown", and a server that limits requests or keeps failing is not
 * queried again.
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

  /** The shard that registered a chunk, with keyed chunk hashes. Rejects with the signal's reason, and with errors that are not a `XetError`. */
  async query(chunk: string, signal: AbortSignal): Promise<Shard | undefined> {
    if (this.#running >= MAX_CONCURRENT_QUERIES) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      if (this.#stopped) return undefined;
      const shard = await this.#send(chunk, signal);
      this.#failures = 0;
      return shard;
    } catch (error) {
      signal.throwIfAborted();
      if (!isXetError(error)) throw error;
      this.#failures++;
      this.#stopped ||= isXetError(error, 'RATE_LIMITED') || this.#failures >= MAX_FAILURES;
      return undefined;
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  #send(chunk: string, signal: AbortSignal): Promise<Shard | undefined> {
    return withToken(this.#tokens, signal, async (casUrl, headers) => {
      const url = `${casUrl}/v1/chunks/default/${chunk}`;
      const spec = { kind: 'cas', url, headers, signal, accept: [404, 429], attempts: MAX_ATTEMPTS } as const;
      const bytes = await this.#http.exchange(spec, (reply) => bodyOf(reply, MAX_SHARD_BYTES));
      return bytes && this.#pool.run(readShard, bytes, [], signal);
    });
  }
}

/** The body of a 200; undefined for 404. */
async function bodyOf(reply: Reply, maxBytes: number): Promise<Uint8Array | undefined> {
  if (reply.status !== 200) {
    reply.drop();
    if (reply.status === 404) return undefined;
    // Thrown here, because the HTTP client would wait and retry.
    throw new XetError('RATE_LIMITED', `${publicUrl(reply.url)} limits the number of requests.`, {
      status: reply.status,
    });
  }
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of reply.chunks()) {
    length += part.length;
    if (length > maxBytes) {
      reply.drop();
      throw new XetError('PROTOCOL', `The response of ${publicUrl(reply.url)} exceeds ${maxBytes} bytes.`, {
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
