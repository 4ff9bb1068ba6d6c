import type { PlacedTerm } from '../cas/reconstruction.ts';
import type { MemoryBudget } from '../core/budget.ts';
import {
  type ChunkRecords,
  chunkCount,
  chunkLength,
  chunkSlice,
  MAX_XORB_CHUNKS,
  totalLength,
} from '../core/chunks.ts';
import type { FileSpan, LocalPart } from '../core/content.ts';
import type { ByteRange, ChunkRange } from '../core/ranges.ts';
import type { Recipe, RecipeTerm } from '../core/recipe.ts';
import type { DiskOffload } from '../files/disk-offload.ts';
import type { VerifiedFiles } from '../files/verified-files.ts';
import type { ProbeAt } from './chunk-probe.ts';
import { rangesWithin } from './chunks/chunk-runs.ts';
import type { ChunkRun, ChunkStore } from './chunks/chunk-store.ts';
import type { FileSources } from './file-sources.ts';
import { type LocalRun, localPartsOf, overlappingTerms } from './local-runs.ts';
import { RecipeCache } from './recipes/recipe-cache.ts';
import { equalBytes, isCompleteRecipe, locateRun, matchesRecipe } from './recipes/recipe-runs.ts';
import type { RecipeStore } from './recipes/recipe-store.ts';

/** Folders, or database name prefixes, by content; undefined for content that is not kept. */
export interface CacheFolders {
  chunks: string | undefined;
  recipes: string | undefined;
  verifiedFiles: string | undefined;
}

export interface LocalCacheParts {
  recipes: RecipeStore;
  known: VerifiedFiles;
  /** The chunk cache; undefined if it is switched off. */
  chunks: ChunkStore | undefined;
  /** Limit of the chunk cache in bytes. */
  chunkLimitBytes: number;
  /** Folders of the caches; undefined where there is no file system. */
  folders: CacheFolders | undefined;
  /** Creates the lookup of chunks in other local files; undefined where there is none. */
  sources?: ((recipes: RecipeCache) => FileSources) | undefined;
  budget: MemoryBudget;
  /** Disk thread for work on many files; undefined if there is none. */
  help?: DiskOffload | undefined;
}

/** The parts that other modules inspect and maintain. */
export type CacheStores = Pick<
  LocalCacheParts,
  'recipes' | 'known' | 'chunks' | 'chunkLimitBytes' | 'folders' | 'help'
>;

/** Identity of a file. */
export interface FileIdentity {
  xetHash: string | undefined;
  etag: string;
  /** Bytes. */
  size: number;
}

const ALL_CHUNKS = { start: 0, end: MAX_XORB_CHUNKS };
/** Size of one read from the chunk cache. */
const STORED_RUN_BYTES = 2 * 1024 * 1024;

/**
 * Everything this machine knows of earlier transfers: recipes of files, and chunks in local files and in the chunk cache.
 * All of it is verified before use, and none of it is required.
 */
export class LocalCaches {
  readonly #parts: LocalCacheParts;
  readonly #recipes: RecipeCache;
  readonly #sources: FileSources | undefined;

  constructor(parts: LocalCacheParts) {
    this.#parts = parts;
    this.#recipes = new RecipeCache(parts.recipes);
    this.#sources = parts.sources?.(this.#recipes);
  }

  get stores(): CacheStores {
    return this.#parts;
  }

  /** True if files on this disk can be sources of chunks, so that {@link adopt} pays. */
  get hasFileSources(): boolean {
    return this.#sources !== undefined;
  }

  /** Returns the terms of a file of this size, if its recipe is known. */
  async termsOf(fileHash: string, size: number): Promise<PlacedTerm[] | undefined> {
    const recipe = await this.#recipes.get(fileHash);
    if (recipe?.size !== size) return undefined;
    let at = 0;
    return recipe.terms.map((term) => {
      const placed = { ...term, at };
      at += term.unpackedLength;
      return placed;
    });
  }

  /** Returns the chunks of a file that overlap a half-open range of it, and where they begin, if its recipe is known. */
  async chunksAround(
    fileHash: string,
    { start, end }: ByteRange,
  ): Promise<{ start: number; records: ChunkRecords } | undefined> {
    const recipe = await this.#recipes.get(fileHash);
    if (!recipe || recipe.size < end) return undefined;
    let first = 0;
    let at = 0;
    for (; at + chunkLength(recipe.records, first) <= start; first++) at += chunkLength(recipe.records, first);
    let last = first;
    for (let to = at; to < end; last++) to += chunkLength(recipe.records, last);
    return { start: at, records: chunkSlice(recipe.records, first, last) };
  }

  /** Returns a check of chunks against the recipe of their file, if it is known. */
  async checkFor(
    fileHash: string,
  ): Promise<((xorb: string, first: number, records: ChunkRecords) => boolean) | undefined> {
    const recipe = await this.#recipes.get(fileHash);
    return recipe && ((xorb, first, records) => matchesRecipe(recipe, xorb, first, records));
  }

  /** Stores the recipe of a verified file, if these are all of its terms. */
  async keepRecipe(fileHash: string, size: number, terms: readonly RecipeTerm[], records: ChunkRecords): Promise<void> {
    if (!isCompleteRecipe(terms, size, records)) return;
    const recipe = {
      fileHash,
      size,
      terms: terms.map(({ xorb, chunks, unpackedLength }) => ({ xorb, chunks, unpackedLength })),
      records,
    };
    await this.#recipes.put(recipe);
  }

  /** Makes a source of a local file that another program downloaded, by chunking it for these terms. */
  async adopt(path: string, file: FileIdentity, terms: readonly RecipeTerm[], signal: AbortSignal): Promise<void> {
    const cut = await this.#sources?.chunkFile(path, signal);
    // Files uploaded with older chunking rules cannot be chunked again the same way.
    if (!cut || cut.fileHash !== file.xetHash || cut.size !== file.size) return;
    const { size, records, fileHash } = cut;
    await this.#parts.known.remember(path, { etag: file.etag, xetHash: fileHash, verified: 'xet' });
    await this.keepRecipe(fileHash, size, terms, records);
  }

  /** Drops the recipe of a file, which proved wrong. */
  async forget(fileHash: string): Promise<void> {
    await this.#recipes.drop(fileHash);
  }

  /** Drops everything known of a file and of xorbs whose cached chunks proved wrong. */
  async distrust(fileHash: string, xorbs: Iterable<string>): Promise<void> {
    await this.forget(fileHash);
    for (const xorb of new Set(xorbs)) await this.#parts.chunks?.drop(xorb);
  }

  /** Caches chunks of a read that leaves no file. */
  async keepChunks(xorb: string, run: ChunkRun): Promise<void> {
    await this.#parts.chunks?.put(xorb, run);
  }

  /** Returns the locally available parts of the wanted ranges: ascending, disjoint, whole chunks. */
  async findLocalParts(
    fileHash: string,
    terms: readonly PlacedTerm[],
    wanted: readonly ByteRange[],
    signal: AbortSignal,
  ): Promise<LocalPart[]> {
    const own = await this.#recipes.get(fileHash);
    const inFiles = this.#sources?.finder();
    const inStore = this.#storeFinder(own);
    const found: LocalRun[] = [];
    for await (const term of overlappingTerms(terms, wanted, signal)) {
      const files = (await inFiles?.(term)) ?? [];
      // If files have some chunks of a term, they usually have nearly all.
      for (const run of files.length > 0 ? files : await inStore(term)) found.push(run);
    }
    return localPartsOf(found, wanted);
  }

  /**
   * Splits terms so that {@link findLocalParts} finds chunks that local files have of their middle. `ask` probes the CAS.
   */
  async splitTerms(
    terms: readonly PlacedTerm[],
    wanted: readonly ByteRange[],
    ask: ProbeAt,
    signal: AbortSignal,
  ): Promise<readonly PlacedTerm[]> {
    return this.#sources?.splitTerms(terms, wanted, ask, signal) ?? terms;
  }

  /** Returns a function that finds cached chunks of a term, with one query per xorb. */
  #storeFinder(own: Recipe | undefined): (term: PlacedTerm) => Promise<LocalRun[]> {
    const { chunks: store } = this.#parts;
    const held = new Map<string, Promise<ChunkRange[]>>();
    const told = new Map<string, Promise<ChunkRecords>>();
    return async (term) => {
      const { xorb, chunks } = term;
      if (!store) return [];
      const ranges = rangesWithin(await memoized(held, xorb, () => store.find(xorb, ALL_CHUNKS)), chunks);
      if (own) return ranges.flatMap((range) => this.#storedRun(term, range, own) ?? []);
      if (ranges[0]?.start !== chunks.start) return [];
      const key = `${xorb} ${chunks.start} ${chunks.end}`;
      return this.#unplacedRun(term, await memoized(told, key, () => store.records(xorb, chunks)));
    };
  }

  /** Finds the cached beginning of a term without a recipe: the store knows the lengths of its chunks. */
  #unplacedRun(term: PlacedTerm, records: ChunkRecords): LocalRun[] {
    if (records.length === 0 || totalLength(records) > term.unpackedLength) return [];
    const { start } = term.chunks;
    return [
      {
        start: term.at,
        records,
        read: (from, { signal }) =>
          this.#readStored(term.xorb, start + from.skippedChunks, from.start, from.records, signal),
      },
    ];
  }

  #storedRun(term: PlacedTerm, range: ChunkRange, own: Recipe): LocalRun | undefined {
    const place = locateRun(own, term, range);
    return (
      place && {
        ...place,
        read: (from, { signal }) =>
          this.#readStored(term.xorb, range.start + from.skippedChunks, from.start, from.records, signal),
      }
    );
  }

  async *#readStored(
    xorb: string,
    first: number,
    start: number,
    records: ChunkRecords,
    signal: AbortSignal,
  ): AsyncGenerator<FileSpan, void, undefined> {
    const { chunks: store, budget } = this.#parts;
    const end = first + chunkCount(records);
    let at = start;
    const read = (from: number) => (from < end ? store?.read(xorb, { start: from, end }) : undefined);
    // Reads the next run while one is in use, if there is memory for both.
    const ahead = budget.tryAcquire(STORED_RUN_BYTES);
    try {
      let reading = read(first);
      for (let next = first; next < end; ) {
        signal.throwIfAborted();
        const run = await reading;
        if (!run) return;
        // The store verified the bytes against its records, which must also be those of the file.
        if (!equalBytes(run.records, chunkSlice(records, next - first, run.chunks.end - first)))
          return await store?.drop(xorb);
        next = run.chunks.end;
        reading = ahead ? read(next) : undefined;
        // The next iteration awaits it, and gets the error.
        reading?.catch(() => undefined);
        yield { at, bytes: run.bytes, chunks: run.records };
        at += run.bytes.length;
        reading ??= read(next);
      }
    } finally {
      if (ahead) budget.release(STORED_RUN_BYTES);
    }
  }

  async close(): Promise<void> {
    const { recipes, chunks, help } = this.#parts;
    await Promise.all([recipes.close(), chunks?.close(), help?.close()]);
  }
}

/** Computes the result of a key once. */
function memoized<T>(known: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const answer = known.get(key) ?? ask();
  known.set(key, answer);
  return answer;
}
