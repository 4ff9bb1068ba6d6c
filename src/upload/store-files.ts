import type { ShardFile } from '../codec/shard.ts';
import { writeShard } from '../codec/upload-operations.ts';
import type { MemoryBudget } from '../core/budget.ts';
import {
  ChunkRecordList,
  type ChunkRecords,
  chunkCount,
  chunkLength,
  chunkSlice,
  joinBytes,
  totalLength,
} from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import type { RecipeTerm } from '../core/recipe.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { SourceChooser } from './choose-sources.ts';
import { type BytePieces, type CutBlock, cutFile } from './cut-file.ts';
import { type FinalizedFile, finalizeFile } from './finalize-file.ts';
import { KnownChunks, type KnownChunksContext } from './known-chunks.ts';
import { MemoryLease } from './memory-lease.ts';
import { prefetch } from './prefetch.ts';
import { type ShardGroup, ShardUploader, shardGroups } from './shard-upload.ts';
import type { MakeUploadHash, UploadHash } from './upload-hash.ts';
import { type FinishedXorb, XorbBuilder } from './xorb-builder.ts';
import { groupNewChunks, XORB_LIMITS, XorbPacker } from './xorb-packer.ts';
import { type MakeBody, XorbUploader } from './xorb-upload.ts';

export interface StoreContext extends KnownChunksContext {
  budget: MemoryBudget;
  makeHash: MakeUploadHash;
  /** Default: bytes are passed to `fetch` as they are. */
  makeBody?: MakeBody | undefined;
  /** Maximum number of xorbs sent at once. Default: 4. */
  maxPosts?: number;
}

export interface StoreOptions {
  signal: AbortSignal;
  /** Xet hashes of files that probably share chunks with these, such as their earlier versions. */
  likely?: readonly string[];
  /** Called with what has been done since the last call. */
  onProgress?: (done: Readonly<StoreCounts>) => void;
}

export interface StoreCounts {
  readBytes: number;
  /** Content that is stored already and not sent. */
  knownBytes: number;
  /** Content that is known, but stored again to keep its file from being fragmented. */
  refusedBytes: number;
  /** Content that has been stored. */
  storedBytes: number;
  /** Bodies of accepted xorbs. */
  sentBytes: number;
  xorbs: number;
}

/** Chunks that are stored already, and their bytes if the digest of the file needs them. */
export interface StoredChunks {
  terms: readonly RecipeTerm[];
  records: ChunkRecords;
  content?: BytePieces | undefined;
}

/** A file made of stored chunks and new bytes, in order. It is not empty. */
export interface EditedSource {
  parts: Iterable<{ kept: StoredChunks } | { bytes: BytePieces }>;
}

type StoreSource = BytePieces | EditedSource;
type StoreSources = Iterable<StoreSource> | AsyncIterable<StoreSource>;

interface StoredFiles {
  /** In the order of the sources. */
  files: FinalizedFile[];
  /** Sums of all progress. */
  counts: StoreCounts;
}

const MIB = 1024 * 1024;
/** Blocks with queries to the CAS in flight. Small files need many; large ones fill the memory budget first. */
const MAX_BLOCKS_AHEAD = 16;
const MAX_BLOCK_BYTES = 4 * MIB;

/**
 * Stores files in a CAS and registers them there, without a commit. Reads each source once, one after the other. All xorbs
 * are stored before any file is registered. Rejects with the first failure; then no file is registered, and stored xorbs
 * are unused until they are uploaded again.
 */
export async function storeFiles(
  context: StoreContext,
  sources: StoreSources,
  options: StoreOptions,
): Promise<StoredFiles> {
  const run = new StoreRun(context, options);
  try {
    return await run.store(sources);
  } finally {
    run.end();
  }
}

/** A block on its way from the cutter to the packer. */
interface QueriedBlock extends CutBlock {
  file: FileInProgress;
  /** Resolves when the answers of the CAS about its chunks are known. */
  queried: Promise<void>;
}

/** A run of stored chunks on the same way. */
interface KeptBlock {
  file: FileInProgress;
  startsFile: boolean;
  kept: StoredChunks;
}

interface FileInProgress {
  hash: UploadHash;
  sources: SourceChooser;
  records: ChunkRecordList;
  size: number;
  sha256: string;
}

class StoreRun {
  readonly #context: StoreContext;
  readonly #options: StoreOptions;
  /** Ends everything after the first failure. */
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  readonly #lease: MemoryLease;
  readonly #blockBytes: number;
  readonly #blockBuffers: RunBuffers;
  readonly #packer: XorbPacker;
  readonly #xorbs: XorbBuilder;
  readonly #counts = { readBytes: 0, knownBytes: 0, refusedBytes: 0, storedBytes: 0, sentBytes: 0, xorbs: 0 };

  constructor(context: StoreContext, options: StoreOptions) {
    this.#context = context;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#controller.signal]);
    const { pool, budget, maxPosts = 4 } = context;
    this.#lease = new MemoryLease(budget);
    this.#blockBytes = Math.min(MAX_BLOCK_BYTES, Math.floor(budget.limitBytes / 32));
    // One xorb being filled, one being sent and its copy leave most of the budget to other work.
    const maxXorbBytes = Math.min(XORB_LIMITS.maxBytes, Math.floor(budget.limitBytes / 8));
    this.#packer = new XorbPacker({ ...XORB_LIMITS, maxBytes: maxXorbBytes });
    // The blocks of a xorb are returned together when it has been sent.
    this.#blockBuffers = new RunBuffers(this.#blockBytes, Math.ceil(maxXorbBytes / this.#blockBytes));
    this.#xorbs = new XorbBuilder({
      pool,
      uploader: new XorbUploader(context),
      lease: this.#lease,
      blocks: this.#blockBuffers,
      blockBytes: this.#blockBytes,
      maxPosts,
      signal: this.#signal,
      onFailure: this.#fail,
      onStored: (stored) => this.#count({ ...stored, xorbs: 1 }),
    });
  }

  async store(sources: StoreSources): Promise<StoredFiles> {
    const files: FileInProgress[] = [];
    const known = await KnownChunks.open(this.#context, this.#options.likely ?? []);
    for await (const block of prefetch(this.#blocks(sources, known), MAX_BLOCKS_AHEAD, this.#signal)) {
      if (block.startsFile) files.push(block.file);
      if ('kept' in block) {
        block.file.sources.keep(block.kept.terms, block.kept.records);
        block.file.records.push(block.kept.records);
      } else await this.#place(block, known);
    }
    // Files are finalized while the last xorbs are being sent.
    const xorbs = await this.#xorbs.finish();
    const finalized: FinalizedFile[] = [];
    const listed: ShardFile[] = [];
    for (const { sources, ...file } of files) {
      const final = await finalizeFile(this.#context.pool, { ...file, terms: sources.terms }, xorbs, this.#signal);
      finalized.push(final.finalized);
      if (final.listed.terms.length > 0) listed.push(final.listed);
    }
    await this.#register(shardGroups(xorbs, listed));
    return { files: finalized, counts: { ...this.#counts } };
  }

  /** Stops everything in flight, and releases its memory. */
  end(): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(new XetError('CLOSED', 'The upload has ended.'));
    this.#lease.end();
  }

  /** The first failure ends everything; later ones are consequences of it. */
  readonly #fail = (error: unknown): void => {
    if (!this.#signal.aborted) this.#controller.abort(error);
  };

  async *#blocks(sources: StoreSources, known: KnownChunks): AsyncGenerator<QueriedBlock | KeptBlock, void, undefined> {
    const { pool, makeHash } = this.#context;
    const signal = this.#signal;
    const cutting = { pool, lease: this.#lease, blockBytes: this.#blockBytes, blocks: this.#blockBuffers, signal };
    for await (const source of sources) {
      const hash = makeHash(pool, signal);
      const file = { hash, sources: new SourceChooser(), records: new ChunkRecordList(), size: 0, sha256: '' };
      const parts = 'parts' in source ? source.parts : [{ bytes: source }];
      let startsFile = true;
      for (const part of parts) {
        if ('kept' in part) {
          for await (const piece of part.kept.content ?? []) await hash.update(piece);
          file.size += totalLength(part.kept.records);
          yield { file, startsFile, kept: part.kept };
          startsFile = false;
          continue;
        }
        for await (const block of cutFile(part.bytes, hash, cutting)) {
          file.size += block.bytes.length;
          this.#count({ readBytes: block.bytes.length });
          const queried = known.query({ ...block, startsFile }, signal);
          queried.catch(this.#fail);
          yield { ...block, startsFile, file, queried };
          startsFile = false;
        }
      }
      file.sha256 = await hash.digest();
    }
  }

  /** Chooses sources for the chunks of a block, in file order, and passes new chunks to the xorb builder. */
  async #place({ file, chunks, bytes, memory, queried }: QueriedBlock, known: KnownChunks): Promise<void> {
    await queried;
    const knownPlaces = await known.lookup(chunks, this.#signal);
    const lengths = Uint32Array.from({ length: chunkCount(chunks) }, (_, position) => chunkLength(chunks, position));
    const chosen = file.sources.choose(lengths, knownPlaces, (position) => {
      const place = this.#packer.next(lengths[position] ?? 0);
      known.add(place.xorb, place.index, chunkSlice(chunks, position, position + 1));
      return place;
    });
    file.records.push(chunks);
    const groups = groupNewChunks(bytes, chunks, chosen.places, chosen.fresh);
    const freshBytes = groups.reduce((sum, { data }) => sum + data.length, 0);
    this.#count({ knownBytes: bytes.length - freshBytes, refusedBytes: chosen.refusedBytes });
    const keptBytes = groups.reduce((sum, { data }) => sum + data.buffer.byteLength, 0);
    if (groups.every(({ data }) => data.buffer !== bytes.buffer)) this.#blockBuffers.give(bytes.buffer);
    for (const group of groups) await this.#xorbs.add(group);
    memory.end(keptBytes);
  }

  async #register(groups: readonly ShardGroup<FinishedXorb>[]): Promise<void> {
    const uploader = new ShardUploader(this.#context);
    for (const group of groups) {
      const records = joinBytes(group.xorbs.map(({ records }) => records));
      const listed = group.xorbs.map(({ hash, count }) => ({ hash, count }));
      const shard = await this.#context.pool.run(writeShard, records, [listed, group.files], this.#signal);
      this.#lease.add(shard.length);
      await this.#xorbs.stored();
      await uploader.upload(shard, this.#signal);
      this.#lease.release(shard.length);
    }
    // Also without anything to register.
    await this.#xorbs.stored();
  }

  #count(done: Partial<StoreCounts>): void {
    const all = { readBytes: 0, knownBytes: 0, refusedBytes: 0, storedBytes: 0, sentBytes: 0, xorbs: 0, ...done };
    for (const name of Object.keys(all) as (keyof StoreCounts)[]) this.#counts[name] += all[name];
    this.#options.onProgress?.(all);
  }
}
