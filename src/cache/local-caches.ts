import type { PlacedTerm } from '../cas/reconstruction.ts';
import type { MemoryBudget } from '../core/budget.ts';
import { type ChunkRecords, chunkCount, chunkSlice, MAX_XORB_CHUNKS, totalLength } from '../core/chunks.ts';
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

/** Folders, or beginnings of database names, by their content; undefined for what is not kept. */
export interface CacheFolders {
  chunks: string | undefined;
  recipes: string | undefined;
  verifiedFiles: string | undefined;
}

export interface LocalCacheParts {
  recipes: RecipeStore;
  known: VerifiedFiles;
  /** Undefined where chunks of reads that leave no file are not to be kept. */
  chunks: ChunkStore | undefined;
  /** Limit of the chunk store, in bytes. */
  chunkLimitBytes: number;
  /** Folders of all of this; undefined where there is no file system. */
  folders: CacheFolders | undefined;
  /** Finds chunks in other files; undefined without a file system. */
  sources?: ((recipes: RecipeCache) => FileSources) | undefined;
  budget: MemoryBudget;
  /** Disk thread for many files, if any. */
  help?: DiskOffload | undefined;
}

/** Stores that `client.cache` reports on and maintains. */
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
/** Of the chunk store, read at once. */
const STORED_RUN_BYTES = 2 * 1024 * 1024;

/**
 * Local caches: recipes (how files are built) and chunks, in files on this disk or in the chunk store. Everything is
 * verified on use, and nothing is required.
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

  /** The terms of a file of this size, where its recipe is known. */
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

  /** A check of chunks of a xorb against the recipe of the file that they are for, where it is known. */
  async checkFor(
    fileHash: string,
  ): Promise<((xorb: string, first: number, records: ChunkRecords) => boolean) | undefined> {
    const recipe = await this.#recipes.get(fileHash);
    return recipe && ((xorb, first, records) => matchesRecipe(recipe, xorb, first, records));
  }

  /** Keeps how a verified file is built, if these are all of its terms. */
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

  /** Learns of a file on this disk that somebody else brought, by cutting it into chunks as it was cut for these terms. */
  async adopt(path: string, file: FileIdentity, terms: readonly RecipeTerm[], signal: AbortSignal): Promise<void> {
    const cut = await this.#sources?.chunkFile(path, signal);
    // Older files were cut by older rules: then their chunks cannot be told from their bytes.
    if (!cut || cut.fileHash !== file.xetHash || cut.size !== file.size) return;
    const { size, records, fileHash } = cut;
    await this.#parts.known.remember(path, { etag: file.etag, xetHash: fileHash, verified: 'xet' });
    await this.keepRecipe(fileHash, size, terms, records);
  }

  /** Forgets a file whose recipe turned out to be wrong. */
  async forget(fileHash: string): Promise<void> {
    await this.#recipes.drop(fileHash);
  }

  /** Drops all chunks of xorbs that turned out to be corrupt. */
  async distrust(fileHash: string, xorbs: Iterable<string>): Promise<void> {
    await this.forget(fileHash);
    for (const xorb of new Set(xorbs)) await this.#parts.chunks?.drop(xorb);
  }

  /** Keeps chunks of a read that leaves no file. */
  async keepChunks(xorb: string, run: ChunkRun): Promise<void> {
    await this.#parts.chunks?.put(xorb, run);
  }

  /** The parts of what is wanted that are here: ascending, apart from each other, whole chunks. */
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
      // What files have part of, they usually have nearly all of.
      for (const run of files.length > 0 ? files : await inStore(term)) found.push(run);
    }
    return localPartsOf(found, wanted);
  }

  /**
   * Terms cut so that {@link findLocalParts} finds what files here have of their middle: `ask` is asked which chunk is where.
   */
  async splitTerms(
    terms: readonly PlacedTerm[],
    wanted: readonly ByteRange[],
    ask: ProbeAt,
    signal: AbortSignal,
  ): Promise<readonly PlacedTerm[]> {
    return this.#sources?.splitTerms(terms, wanted, ask, signal) ?? terms;
  }

  /** Finds chunks of a term in the store, which is asked once for each xorb and not for each term. */
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

  /** Leading chunks of a term whose lengths are unknown, as far as the store has them. */
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
    // While one run is used the next one is read, if there is memory for both.
    const ahead = budget.tryAcquire(STORED_RUN_BYTES);
    try {
      let reading = read(first);
      for (let next = first; next < end; ) {
        signal.throwIfAborted();
        const run = await reading;
        if (!run) return;
        // The store has checked the bytes against the records; these must be the ones that the file has.
        if (!equalBytes(run.records, chunkSlice(records, next - first, run.chunks.end - first)))
          return await store?.drop(xorb);
        next = run.chunks.end;
        reading = ahead ? read(next) : undefined;
        // Whoever waits for it gets the error.
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

/** Asks for the result of a key once. */
function memoized<T>(known: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const answer = known.get(key) ?? ask();
  known.set(key, answer);
  return answer;
}
