import type { PlacedTerm } from '../cas/reconstruction.ts';
import type { CodecPool } from '../codec/pool.ts';
import type { MemoryBudget } from '../core/budget.ts';
import {
  type ChunkRecords,
  chunkCount,
  chunkLength,
  chunkSlice,
  MAX_CHUNK_BYTES,
  totalLength,
} from '../core/chunks.ts';
import type { FileSpan, LocalReading } from '../core/content.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { VerifiedFiles } from '../files/verified-files.ts';
import { isAbsent, isSystemError } from '../fs/if-present.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { MAX_PROBES, type ProbeAt, probeOffsets, splitAtProbes } from './chunk-probe.ts';
import { type LocalRun, overlappingTerms } from './local-runs.ts';
import type { RecipeCache } from './recipes/recipe-cache.ts';
import { coversTerm } from './recipes/recipe-runs.ts';
import { matchTerm, type SourcedRecipe, type TermMatch } from './term-match.ts';

/** A local file that is read in parts. */
export interface SourceFile {
  /** Reads bytes from an offset into memory. Returns the filled part, which is shorter at the end of the file. */
  read(start: number, into: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file and its chunks. */
export interface ChunkedFile {
  /** Bytes. */
  size: number;
  records: ChunkRecords;
  fileHash: string;
}

export interface FileSourceParts {
  known: VerifiedFiles;
  openFile: (path: string) => Promise<SourceFile>;
  /** Cuts a file into chunks. */
  chunkFile: (path: string, signal: AbortSignal) => Promise<ChunkedFile>;
  pool: CodecPool;
  budget: MemoryBudget;
}

/** Files to search for the chunks of one term: files of many commits of a repository share most chunks. */
const MAX_SOURCES = 8;
/** Terms of one xorb for which many files are filtered by chunk range. */
const MAX_FILTERED_LOOKUPS = 32;
/** Size of runs that are read and verified together: each run is a message to a worker and back. */
const RUN_BYTES = 2 * 1024 * 1024;
/** A run ends with the chunk that reaches {@link RUN_BYTES}. */
const MAX_RUN_BYTES = RUN_BYTES + MAX_CHUNK_BYTES;
/** Number of runs in progress for one file. */
const MAX_SPARE_BUFFERS = 3;

/** Chunks of other local files whose recipes are known. */
export class FileSources {
  readonly #parts: FileSourceParts;
  readonly #recipes: RecipeCache;
  readonly #buffers = new RunBuffers(MAX_RUN_BYTES, MAX_SPARE_BUFFERS);

  constructor(parts: FileSourceParts, recipes: RecipeCache) {
    this.#parts = parts;
    this.#recipes = recipes;
  }

  /** Returns a function that finds the chunks of a term. Each file is looked up once, however many terms are searched. */
  finder(): (term: PlacedTerm) => Promise<LocalRun[]> {
    const sourcesOf = this.#sourceFinder();
    const ends = new Map<string, TermMatch<string>>();
    return async (term) => {
      const sources = await sourcesOf(term);
      if (sources.length === 0) return [];
      // Long files repeat a few terms.
      const key = keyOf(term);
      const { prefix, suffix } = ends.get(key) ?? matchTerm(term, sources);
      ends.set(key, { prefix, suffix });
      return [...prefix, ...suffix].map(({ source, fileOffset, records, termOffset }) => ({
        start: term.at + termOffset,
        records,
        read: (from, reading) => this.#read(source, fileOffset + from.skippedBytes, from.start, from.records, reading),
      }));
    };
  }

  /**
   * Splits terms where local files have chunks of their middle, so that {@link finder} finds them. Only the CAS knows the
   * offsets of those chunks, so this is done for runs of several megabytes.
   */
  async splitTerms(
    terms: readonly PlacedTerm[],
    wanted: readonly ByteRange[],
    ask: ProbeAt,
    signal: AbortSignal,
  ): Promise<readonly PlacedTerm[]> {
    const places: number[] = [];
    const sourcesOf = this.#sourceFinder();
    const seen = new Set<string>();
    for await (const term of overlappingTerms(terms, wanted, signal)) {
      if (places.length >= MAX_PROBES) break;
      if (seen.has(keyOf(term))) continue;
      seen.add(keyOf(term));
      const sources = await sourcesOf(term);
      if (sources.length === 0) continue;
      const offsets = probeOffsets(term, sources, matchTerm(term, sources));
      for (const offset of offsets) places.push(term.at + offset);
    }
    return places.length === 0 ? terms : splitAtProbes(terms, places, ask);
  }

  chunkFile(path: string, signal: AbortSignal): Promise<ChunkedFile> {
    return this.#parts.chunkFile(path, signal);
  }

  #sourceFinder(): (term: PlacedTerm) => Promise<SourcedRecipe<string>[]> {
    const { known } = this.#parts;
    const paths = new Map<string, string | undefined>();
    const found = new Map<string, SourcedRecipe<string>[]>();
    const filesOf = this.#fileFinder();
    return async (term) => {
      const key = keyOf(term);
      const before = found.get(key);
      if (before) return before;
      const sources: SourcedRecipe<string>[] = [];
      found.set(key, sources);
      for (const fileHash of (await filesOf(term)).slice(0, MAX_SOURCES)) {
        if (!paths.has(fileHash)) paths.set(fileHash, (await known.pathsOf(fileHash))[0]);
        const path = paths.get(fileHash);
        const recipe = path !== undefined && (await this.#recipes.get(fileHash));
        if (path !== undefined && recipe) sources.push({ source: path, recipe });
        // Usually the first file has all chunks.
        if (recipe && coversTerm(recipe, term)) break;
      }
      return sources;
    };
  }

  /** Returns a function that finds files with chunks of a term. Each xorb is looked up once, unless too many files use it. */
  #fileFinder(): (term: PlacedTerm) => Promise<string[]> {
    const xorbs = new Map<string, { files: string[]; looks: number }>();
    return async ({ xorb, chunks }) => {
      const known = xorbs.get(xorb) ?? { files: await this.#recipes.filesWith(xorb), looks: 0 };
      xorbs.set(xorb, known);
      if (known.files.length <= MAX_SOURCES || known.looks++ >= MAX_FILTERED_LOOKUPS) return known.files;
      return this.#recipes.filesWith(xorb, chunks);
    };
  }

  /** Reads consecutive chunks of a file and hashes each. Ends early where the file has changed. */
  async *#read(
    path: string,
    offset: number,
    start: number,
    records: ChunkRecords,
    { signal, lent }: LocalReading,
  ): AsyncGenerator<FileSpan, void, undefined> {
    const { openFile, known, budget, pool } = this.#parts;
    const file = await orSystemError(openFile(path));
    // Only an absent file stops being a source: too many open files or a failing disk may be temporary.
    if (file instanceof Error) return isAbsent(file) ? known.forget(path) : undefined;
    try {
      let at = 0;
      for (const chunks of groupIntoRuns(records)) {
        signal.throwIfAborted();
        const length = totalLength(chunks);
        const held = lent ? this.#buffers.memoryFor(length) : length;
        await budget.acquire(held, () => true, signal);
        try {
          const memory = lent ? this.#buffers.fitting(length) : new Uint8Array(length);
          const bytes = await orSystemError(file.read(offset + at, memory));
          if (bytes instanceof Error) return;
          const checked = await pool.checkChunks(bytes, chunks, signal);
          const good = chunkSlice(chunks, 0, checked.good);
          const goodBytes = totalLength(good);
          if (checked.good > 0) yield { at: start + at, bytes: checked.bytes.subarray(0, goodBytes), chunks: good };
          if (lent) this.#buffers.give(checked.bytes.buffer);
          if (goodBytes < length) return await known.forget(path);
        } finally {
          budget.release(held);
        }
        at += length;
      }
    } finally {
      await file.close();
    }
  }
}

/** Returns the error if the operating system failed. The chunks are then read elsewhere. */
const orSystemError = <T>(step: Promise<T>): Promise<T | Error> =>
  step.catch((error: unknown) => {
    if (isSystemError(error)) return error;
    throw error;
  });

const keyOf = ({ xorb, chunks, unpackedLength }: PlacedTerm) =>
  `${xorb} ${chunks.start} ${chunks.end} ${unpackedLength}`;

/** Groups chunks into runs of about {@link RUN_BYTES}. */
function* groupIntoRuns(records: ChunkRecords): Generator<ChunkRecords> {
  let first = 0;
  let bytes = 0;
  const count = chunkCount(records);
  for (let index = 0; index < count; index++) {
    bytes += chunkLength(records, index);
    if (bytes < RUN_BYTES && index + 1 < count) continue;
    yield chunkSlice(records, first, index + 1);
    first = index + 1;
    bytes = 0;
  }
}
