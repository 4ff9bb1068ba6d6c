import type { RecipeStore } from '../cache/recipes/recipe-store.ts';
import { CasClient } from '../cas/client.ts';
import type { CodecPool } from '../codec/pool.ts';
import { keyedHashes } from '../codec/upload-operations.ts';
import { type ChunkRecords, chunkHashHex } from '../core/chunks.ts';
import type { Http } from '../http/http.ts';
import type { CasTokenSource } from '../hub/token.ts';
import type { KnownPlaces } from './choose-places.ts';
import { ChunkQueries } from './chunk-query.ts';
import type { CutBlock } from './cut-file.ts';
import { DedupIndex, eligibleChunks } from './dedup-index.ts';
import type { XorbName } from './file-terms.ts';
import { KnownRecipes, readRecipes } from './known-recipes.ts';

export interface KnownChunksParts {
  http: Http;
  /** Of the repository that is uploaded to. */
  tokens: CasTokenSource;
  pool: CodecPool;
  /** How files that are known here are built. */
  recipes?: Pick<RecipeStore, 'get' | 'list'> | undefined;
  now?: () => number;
}

/** Recipes that are looked at for an upload, in bytes: those of some 50 GB of files. */
const RECIPE_BYTES = 32 * 1024 * 1024;

/** Where chunks are stored, as far as one upload knows: by itself, from files that are known here, and from the CAS. */
export class KnownChunks {
  readonly #pool: CodecPool;
  readonly #index = new DedupIndex();
  readonly #queries: ChunkQueries;
  readonly #recipes: KnownRecipes;
  /** Chunks that the CAS was asked about. */
  readonly #asked = new Set<string>();
  readonly #now: () => number;

  private constructor(parts: KnownChunksParts, recipes: KnownRecipes) {
    this.#pool = parts.pool;
    this.#queries = new ChunkQueries(parts);
    this.#recipes = recipes;
    this.#now = parts.now ?? Date.now;
  }

  /** @param likely Xet hashes of files that probably share chunks with what is uploaded. */
  static async open(parts: KnownChunksParts, likely: readonly string[]): Promise<KnownChunks> {
    const { recipes, http, tokens } = parts;
    const cas = new CasClient(http, tokens, new Map());
    const found = recipes ? await readRecipes(recipes, likely, RECIPE_BYTES) : [];
    const termsOnCas = async ({ fileHash, size }: { fileHash: string; size: number }, signal: AbortSignal) => {
      try {
        return (await cas.reconstruction(fileHash, { start: 0, end: size }, signal)).terms;
      } catch {
        // Not known there, or not to be had: the upload is right without it.
        signal.throwIfAborted();
        return undefined;
      }
    };
    return new KnownChunks(parts, new KnownRecipes(found, termsOnCas));
  }

  /** Takes in what is known elsewhere about the chunks of a block. */
  async ask({ chunks, startsFile }: Pick<CutBlock, 'chunks' | 'startsFile'>, signal: AbortSignal): Promise<void> {
    await this.#recipes.confirm(chunks, (xorb, first, records) => this.#index.add(xorb, first, records), signal);
    const eligible = eligibleChunks(chunks, startsFile);
    if (eligible.length === 0 || !this.#index.hasRoom) return;
    const known = await this.look(chunks, signal);
    const unknown = eligible.filter((position) => !known.find(position, undefined));
    const hashes = new Set(unknown.map((position) => chunkHashHex(chunks, position)));
    await Promise.all(
      [...hashes].map(async (hash) => {
        if (this.#asked.has(hash)) return;
        this.#asked.add(hash);
        const shard = await this.#queries.ask(hash, signal);
        if (shard) this.#index.learn(shard, this.#nowSeconds());
      }),
    );
  }

  /** Where these chunks are, of all that was taken in so far. */
  look(chunks: ChunkRecords, signal: AbortSignal): Promise<KnownPlaces> {
    const keyHashes = (hashes: Uint8Array, key: Uint8Array) => this.#pool.run(keyedHashes, hashes, [key], signal);
    return this.#index.look(chunks, keyHashes, this.#nowSeconds());
  }

  /** Chunks have got a place in a xorb, in a row from its chunk `first` on. */
  add(xorb: XorbName, first: number, records: ChunkRecords): void {
    this.#index.add(xorb, first, records);
  }

  #nowSeconds(): number {
    return this.#now() / 1000;
  }
}
