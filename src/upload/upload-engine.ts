import type { CodecPool } from '../../workers/pool.ts';
import type { RecipeStore } from '../cache/recipes.ts';
import { CasClient } from '../cas/client.ts';
import {
  ChunkRecordList,
  type ChunkRecords,
  chunkCount,
  chunkHashHex,
  chunkLength,
  chunkSlice,
  joinBytes,
  totalLength,
} from '../chunks.ts';
import type { MemoryBudget } from '../download/budget.ts';
import { Lanes } from '../download/lanes.ts';
import { XetError } from '../errors.ts';
import { HASH_BYTES, hashToHex, ZERO_HASH } from '../hash.ts';
import type { Http } from '../http/http.ts';
import type { CasTokenSource } from '../hub/token.ts';
import type { ShardFile } from '../shard/shard.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { ahead } from './ahead.ts';
import { choosePlaces, type KnownPlaces } from './choose-places.ts';
import { ChunkQueries } from './chunk-query.ts';
import { runUpload } from './codec-work.ts';
import { type ByteSource, type CutBlock, cutFile } from './cut-file.ts';
import { DedupIndex, eligibleChunks } from './dedup-index.ts';
import { type FileTerm, FileTerms, verificationRanges } from './file-terms.ts';
import { FragmentationRule } from './fragmentation.ts';
import { FrameBuffer } from './frame-buffer.ts';
import { type FreshPart, freshParts } from './fresh-parts.ts';
import { HeldMemory } from './held-memory.ts';
import { KnownRecipes, readRecipes } from './known-recipes.ts';
import { type ShardGroup, shardGroups } from './shard-groups.ts';
import { ShardUploader } from './shard-upload.ts';
import type { MakeUploadHash, UploadHash } from './upload-hash.ts';
import type { MakeBody } from './web-body.ts';
import { XORB_LIMITS, XorbPacker } from './xorb-packer.ts';
import { XorbUploader } from './xorb-upload.ts';

export interface UploadParts {
  http: Http;
  /** Gives write tokens of the repository. */
  tokens: CasTokenSource;
  pool: CodecPool;
  budget: MemoryBudget;
  makeHash: MakeUploadHash;
  /** How a xorb is given to `fetch`. Default: as it is. */
  makeBody?: MakeBody | undefined;
  /** How files that are known here are built. */
  recipes?: Pick<RecipeStore, 'get' | 'list'> | undefined;
  /** Xorbs that are sent at once. Default: 4. */
  posts?: number;
  now?: () => number;
}

export interface UploadSource {
  bytes: ByteSource;
}

export interface UploadOptions {
  signal: AbortSignal;
  /** Xet hashes of files that those to be uploaded probably resemble, such as their earlier versions. */
  likely?: readonly string[];
  onProgress?: (progress: UploadProgress) => void;
}

/** Bytes so far. All numbers only grow. */
export interface UploadProgress {
  readBytes: number;
  /** File bytes that are stored already, here or there, and so are not sent. */
  knownBytes: number;
  /** File bytes that are known, but are sent again to keep their file from being scattered. */
  refusedBytes: number;
  /** File bytes that have been stored just now. */
  storedBytes: number;
  /** Bodies of xorbs that were accepted. */
  sentBytes: number;
  xorbs: number;
}

export interface UploadedFile {
  /** Bytes. */
  size: number;
  sha256: string;
  xetHash: string;
  terms: FileTerm<string>[];
  /** All chunks of the file in order. */
  records: ChunkRecords;
}

export interface UploadResult {
  /** In the order of the sources. */
  files: UploadedFile[];
  progress: UploadProgress;
}

const MIB = 1024 * 1024;
/** Blocks whose questions to the CAS are under way: small files need many, large ones fill the budget before. */
const BLOCKS_AHEAD = 16;
const MOST_BLOCK_BYTES = 4 * MIB;
/** One that is cut while one is packed. */
const SPARE_BLOCKS = 2;
/** Recipes that are looked at for an upload, in bytes: those of some 50 GB of files. */
const RECIPE_BYTES = 32 * MIB;

/** Stores files in a CAS and registers them there. No commit is made: that is the Hub's part. */
export class UploadEngine {
  readonly #parts: UploadParts;

  constructor(parts: UploadParts) {
    this.#parts = parts;
  }

  /**
   * Reads each source once, one after the other, and stores what is not stored yet; all xorbs are stored before the
   * files are registered. Rejects with what failed first; then nothing is registered, and what was stored goes unused
   * unless it is uploaded again.
   */
  async upload(
    sources: Iterable<UploadSource> | AsyncIterable<UploadSource>,
    options: UploadOptions,
  ): Promise<UploadResult> {
    const run = new UploadRun(this.#parts, options);
    try {
      return await run.upload(sources);
    } finally {
      run.end();
    }
  }
}

/** A block on its way from the cutter to the packer. */
interface Block extends CutBlock {
  file: FileInProgress;
  /** When what the CAS says about its chunks has been taken in. */
  asked: Promise<void>;
}

interface FileInProgress {
  hash: UploadHash;
  terms: FileTerms;
  rule: FragmentationRule;
  records: ChunkRecordList;
  size: number;
  sha256: string;
}

/** A xorb that is being filled. */
interface OpenXorb {
  number: number;
  records: ChunkRecordList;
  frames: FrameBuffer;
  /** When all frames so far are in their place. */
  filled: Promise<void>;
}

/** A xorb that is full. */
interface NamedXorb {
  hash: string;
  records: ChunkRecords;
  count: number;
}

class UploadRun {
  readonly #parts: UploadParts;
  readonly #options: UploadOptions;
  /** Ends everything when anything fails. */
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  readonly #index = new DedupIndex();
  readonly #queries: ChunkQueries;
  readonly #xorbUploader: XorbUploader;
  readonly #lanes: Lanes;
  readonly #maxXorbBytes: number;
  readonly #blockBytes: number;
  readonly #blockBuffers: RunBuffers;
  readonly #packer: XorbPacker;
  /** Chunks that the CAS was asked about. */
  readonly #askedChunks = new Set<string>();
  #open: OpenXorb | undefined;
  /** By their numbers. */
  readonly #named: Promise<NamedXorb>[] = [];
  readonly #posts: Promise<void>[] = [];
  readonly #held: HeldMemory;
  /** Blocks and xorbs that will free memory without anything being read. */
  #moving = 0;
  #sending = 0;
  readonly #progress = { readBytes: 0, knownBytes: 0, refusedBytes: 0, storedBytes: 0, sentBytes: 0, xorbs: 0 };

  constructor(parts: UploadParts, options: UploadOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#controller.signal]);
    this.#queries = new ChunkQueries(parts);
    this.#xorbUploader = new XorbUploader(parts);
    this.#held = new HeldMemory(parts.budget);
    this.#lanes = new Lanes(parts.posts ?? 4);
    // One that is filled, one that is sent and the copy that sending makes leave most of the budget to others.
    this.#maxXorbBytes = Math.min(XORB_LIMITS.maxBytes, Math.floor(parts.budget.limitBytes / 8));
    this.#blockBytes = Math.min(MOST_BLOCK_BYTES, Math.floor(parts.budget.limitBytes / 32));
    this.#blockBuffers = new RunBuffers(this.#blockBytes, SPARE_BLOCKS);
    this.#packer = new XorbPacker({ ...XORB_LIMITS, maxBytes: this.#maxXorbBytes });
  }

  async upload(sources: Iterable<UploadSource> | AsyncIterable<UploadSource>): Promise<UploadResult> {
    const files: FileInProgress[] = [];
    const recipes = await this.#knownRecipes();
    for await (const block of ahead(this.#blocks(sources, recipes), BLOCKS_AHEAD, this.#signal)) {
      if (block.startsFile) files.push(block.file);
      await this.#place(block);
    }
    await this.#close();
    // What is left to do about files is done while the last xorbs are on their way.
    const xorbs = await Promise.all(this.#named);
    const sealed: { uploaded: UploadedFile; listed: ShardFile }[] = [];
    for (const file of files) sealed.push(await this.#seal(file, xorbs));
    const listed = sealed.map(({ listed }) => listed).filter(({ terms }) => terms.length > 0);
    await this.#register(shardGroups(xorbs, listed));
    return { files: sealed.map(({ uploaded }) => uploaded), progress: { ...this.#progress } };
  }

  /** Stops what may still be under way, and gives back what it held. */
  end(): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(new XetError('CLOSED', 'The upload has ended.'));
    this.#held.end();
  }

  /** The first failure ends everything; what fails later is a consequence of it. */
  readonly #fail = (error: unknown): void => {
    if (!this.#signal.aborted) this.#controller.abort(error);
  };

  async #knownRecipes(): Promise<KnownRecipes> {
    const { recipes, http, tokens } = this.#parts;
    const cas = new CasClient(http, tokens, new Map());
    const found = recipes ? await readRecipes(recipes, this.#options.likely ?? [], RECIPE_BYTES) : [];
    return new KnownRecipes(found, async ({ fileHash, size }, signal) => {
      try {
        return (await cas.reconstruction(fileHash, { start: 0, end: size }, signal)).terms;
      } catch {
        // Not known there, or not to be had: the upload is right without it.
        signal.throwIfAborted();
        return undefined;
      }
    });
  }

  async *#blocks(
    sources: Iterable<UploadSource> | AsyncIterable<UploadSource>,
    recipes: KnownRecipes,
  ): AsyncGenerator<Block, void, undefined> {
    const { pool, makeHash } = this.#parts;
    const buffer = new Uint8Array(this.#blockBytes);
    this.#held.add(buffer.length);
    const urgent = () => this.#moving === 0;
    for await (const source of sources) {
      const hash = makeHash(pool, this.#signal);
      const [terms, rule, records] = [new FileTerms(), new FragmentationRule(), new ChunkRecordList()];
      const file = { hash, terms, rule, records, size: 0, sha256: '' };
      const parts = { pool, held: this.#held, urgent, buffer, blocks: this.#blockBuffers, signal: this.#signal };
      for await (const block of cutFile(source.bytes, hash, parts)) {
        this.#moving++;
        file.size += block.bytes.length;
        if (block.endsFile) file.sha256 = await hash.digest();
        this.#note({ readBytes: block.bytes.length });
        const asked = this.#ask(block, recipes);
        asked.catch(this.#fail);
        yield { ...block, file, asked };
      }
    }
  }

  /** Takes in what is known elsewhere about the chunks of a block. */
  async #ask({ chunks, startsFile }: CutBlock, recipes: KnownRecipes): Promise<void> {
    await recipes.confirm(chunks, (xorb, first, records) => this.#index.add(xorb, first, records), this.#signal);
    const eligible = eligibleChunks(chunks, startsFile);
    if (eligible.length === 0 || !this.#index.hasRoom) return;
    const known = await this.#look(chunks);
    const unknown = eligible.filter((position) => !known.find(position, undefined));
    const hashes = new Set(unknown.map((position) => chunkHashHex(chunks, position)));
    await Promise.all(
      [...hashes].map(async (hash) => {
        if (this.#askedChunks.has(hash)) return;
        this.#askedChunks.add(hash);
        const shard = await this.#queries.ask(hash, this.#signal);
        if (shard) this.#index.learn(shard, this.#nowSeconds());
      }),
    );
  }

  #look(chunks: ChunkRecords): Promise<KnownPlaces> {
    const keyHashes = (hashes: Uint8Array, key: Uint8Array) =>
      this.#parts.pool.run('keyedHashes', hashes, [key], this.#signal);
    return this.#index.look(chunks, keyHashes, this.#nowSeconds());
  }

  #nowSeconds(): number {
    return (this.#parts.now?.() ?? Date.now()) / 1000;
  }

  /** Decides about the chunks of a block, in file order, and hands on those that are to be stored. */
  async #place({ file, chunks, bytes, heldBytes, asked }: Block): Promise<void> {
    await asked;
    const known = await this.#look(chunks);
    const lengths = Uint32Array.from({ length: chunkCount(chunks) }, (_, position) => chunkLength(chunks, position));
    const { places, fresh, refusedBytes } = choosePlaces(lengths, known, file.terms, file.rule, (position) => {
      const place = this.#packer.next(lengths[position] ?? 0);
      this.#index.add(place.xorb, place.index, chunkSlice(chunks, position, position + 1));
      return place;
    });
    file.records.push(chunks);
    const parts = freshParts(bytes, chunks, places, fresh);
    const freshBytes = parts.reduce((sum, { data }) => sum + data.length, 0);
    this.#note({ knownBytes: bytes.length - freshBytes, refusedBytes });
    const keptBytes = parts.reduce((sum, { data }) => sum + data.buffer.byteLength, 0);
    if (parts.every(({ data }) => data.buffer !== bytes.buffer)) this.#blockBuffers.give(bytes.buffer);
    for (const part of parts) await this.#store(part);
    this.#moving--;
    this.#held.release(heldBytes - keptBytes);
  }

  /** Adds chunks to the xorb that they go into, compressed as soon as a worker is free. */
  async #store({ xorb, data, records }: FreshPart): Promise<void> {
    if (this.#open?.number !== xorb) await this.#close();
    this.#open ??= {
      number: xorb,
      records: new ChunkRecordList(),
      frames: new FrameBuffer(this.#maxXorbBytes),
      filled: Promise.resolve(),
    };
    const open = this.#open;
    open.records.push(records);
    this.#moving++;
    const rawBytes = data.buffer.byteLength;
    const onSpent = (memory: ArrayBufferLike) => this.#blockBuffers.give(memory);
    // A xorb is nothing but its frames, so it can be made piece by piece: no worker ever holds all of it.
    const packed = this.#parts.pool.run(
      'serializeXorb',
      data,
      [records, Uint32Array.of(0), 'auto'],
      this.#signal,
      onSpent,
    );
    packed.catch(this.#fail);
    open.filled = open.filled.then(async () => {
      const { body } = await packed;
      open.frames.push(body);
      this.#held.add(body.length);
      this.#moving--;
      this.#held.release(rawBytes);
    });
    open.filled.catch(this.#fail);
  }

  /** Sends the xorb that is being filled; waits only while enough others are on their way. */
  async #close(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.#open = undefined;
    this.#moving++;
    await this.#lanes.enter(() => false, this.#signal);
    const named = this.#name(open);
    named.catch(this.#fail);
    this.#named.push(named);
    this.#posts.push(named.then((xorb) => this.#post(xorb, open.frames.take())).catch(this.#fail));
  }

  async #name({ filled, records: list }: OpenXorb): Promise<NamedXorb> {
    await filled;
    const records = list.records.slice();
    const hash = hashToHex(await this.#parts.pool.run('xorbHash', records.slice(), [], this.#signal));
    return { hash, records, count: chunkCount(records) };
  }

  async #post({ hash, records }: NamedXorb, body: Uint8Array): Promise<void> {
    const { length } = body;
    // Runtimes copy what they send.
    await this.#held.acquire(length, () => this.#sending === 0, this.#signal);
    this.#sending++;
    const { sentBytes } = await this.#xorbUploader.upload(hash, body, this.#signal);
    this.#sending--;
    this.#moving--;
    this.#held.release(2 * length);
    this.#lanes.leave();
    this.#note({ sentBytes, storedBytes: totalLength(records), xorbs: 1 });
  }

  async #seal(
    file: FileInProgress,
    xorbs: readonly NamedXorb[],
  ): Promise<{ uploaded: UploadedFile; listed: ShardFile }> {
    const { size, sha256 } = file;
    const records = file.records.records.slice();
    const nameOf = (xorb: string | number) => (typeof xorb === 'string' ? xorb : (xorbs[xorb]?.hash ?? ''));
    const terms = file.terms.terms.map((term) => ({ ...term, xorb: nameOf(term.xorb) }));
    if (terms.length === 0) {
      const uploaded = { size, sha256, xetHash: ZERO_HASH, terms, records };
      return { uploaded, listed: { hash: ZERO_HASH, terms, verification: [], sha256 } };
    }
    const counts = Uint32Array.from(verificationRanges(terms), ({ start, end }) => end - start);
    const sealed = await runUpload(this.#parts.pool, 'sealFile', records.slice(), [counts], this.#signal);
    const xetHash = hashToHex(sealed.hash);
    const verification = terms.map((_, position) => hashToHex(sealed.verification, position * HASH_BYTES));
    return {
      uploaded: { size, sha256, xetHash, terms, records },
      listed: { hash: xetHash, terms, verification, sha256 },
    };
  }

  async #register(groups: readonly ShardGroup<NamedXorb>[]): Promise<void> {
    const uploader = new ShardUploader(this.#parts);
    for (const group of groups) {
      const records = joinBytes(group.xorbs.map(({ records }) => records));
      const listed = group.xorbs.map(({ hash, count }) => ({ hash, count }));
      const shard = await runUpload(this.#parts.pool, 'writeShard', records, [listed, group.files], this.#signal);
      this.#held.add(shard.length);
      await Promise.all(this.#posts);
      await uploader.upload(shard, this.#signal);
      this.#held.release(shard.length);
    }
    // Also where there was nothing to register.
    await Promise.all(this.#posts);
    this.#signal.throwIfAborted();
  }

  #note(more: Partial<UploadProgress>): void {
    for (const name of Object.keys(more) as (keyof UploadProgress)[]) this.#progress[name] += more[name] ?? 0;
    this.#options.onProgress?.({ ...this.#progress });
  }
}
