import type { ShardFile } from '../codec/shard.ts';
import { writeShard } from '../codec/upload-operations.ts';
import type { MemoryBudget } from '../core/budget.ts';
import { ChunkRecordList, chunkCount, chunkLength, chunkSlice, joinBytes } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import { RunBuffers } from '../xorb/buffers.ts';
import { ahead } from './ahead.ts';
import { choosePlaces } from './choose-places.ts';
import { type ByteSource, type CutBlock, cutFile } from './cut-file.ts';
import { FileTerms } from './file-terms.ts';
import { FragmentationRule } from './fragmentation.ts';
import { freshParts } from './fresh-parts.ts';
import { HeldMemory } from './held-memory.ts';
import { KnownChunks, type KnownChunksParts } from './known-chunks.ts';
import { type CutFile, sealFile, type UploadedFile } from './seal-file.ts';
import { type ShardGroup, shardGroups } from './shard-groups.ts';
import { ShardUploader } from './shard-upload.ts';
import type { MakeUploadHash, UploadHash } from './upload-hash.ts';
import type { MakeBody } from './web-body.ts';
import { type NamedXorb, XorbFilling } from './xorb-filling.ts';
import { XORB_LIMITS, XorbPacker } from './xorb-packer.ts';
import { XorbUploader } from './xorb-upload.ts';

export interface UploadParts extends KnownChunksParts {
  budget: MemoryBudget;
  makeHash: MakeUploadHash;
  /** How a xorb is given to `fetch`. Default: as it is. */
  makeBody?: MakeBody | undefined;
  /** Xorbs that are sent at once. Default: 4. */
  posts?: number;
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

export interface UploadResult {
  /** In the order of the sources. */
  files: UploadedFile[];
  progress: UploadProgress;
}

const MIB = 1024 * 1024;
/** Blocks whose questions to the CAS are under way: small files need many, large ones fill the budget before. */
const BLOCKS_AHEAD = 16;
const MOST_BLOCK_BYTES = 4 * MIB;

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

interface FileInProgress extends CutFile {
  hash: UploadHash;
  rule: FragmentationRule;
}

class UploadRun {
  readonly #parts: UploadParts;
  readonly #options: UploadOptions;
  /** Ends everything when anything fails. */
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  readonly #held: HeldMemory;
  readonly #blockBytes: number;
  readonly #blockBuffers: RunBuffers;
  readonly #packer: XorbPacker;
  readonly #xorbs: XorbFilling;
  readonly #progress = { readBytes: 0, knownBytes: 0, refusedBytes: 0, storedBytes: 0, sentBytes: 0, xorbs: 0 };

  constructor(parts: UploadParts, options: UploadOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#controller.signal]);
    const { pool, budget, posts = 4 } = parts;
    this.#held = new HeldMemory(budget);
    this.#blockBytes = Math.min(MOST_BLOCK_BYTES, Math.floor(budget.limitBytes / 32));
    // One that is filled, one that is sent and the copy that sending makes leave most of the budget to others.
    const maxXorbBytes = Math.min(XORB_LIMITS.maxBytes, Math.floor(budget.limitBytes / 8));
    this.#packer = new XorbPacker({ ...XORB_LIMITS, maxBytes: maxXorbBytes });
    // The blocks of a xorb come back together, once it is sent.
    this.#blockBuffers = new RunBuffers(this.#blockBytes, Math.ceil(maxXorbBytes / this.#blockBytes));
    this.#xorbs = new XorbFilling({
      pool,
      uploader: new XorbUploader(parts),
      held: this.#held,
      blocks: this.#blockBuffers,
      blockBytes: this.#blockBytes,
      posts,
      signal: this.#signal,
      onFailure: this.#fail,
      onStored: (stored) => this.#note({ ...stored, xorbs: 1 }),
    });
  }

  async upload(sources: Iterable<UploadSource> | AsyncIterable<UploadSource>): Promise<UploadResult> {
    const files: FileInProgress[] = [];
    const known = await KnownChunks.open(this.#parts, this.#options.likely ?? []);
    for await (const block of ahead(this.#blocks(sources, known), BLOCKS_AHEAD, this.#signal)) {
      if (block.startsFile) files.push(block.file);
      await this.#place(block, known);
    }
    // What is left to do about files is done while the last xorbs are on their way.
    const xorbs = await this.#xorbs.end();
    const sealed: { uploaded: UploadedFile; listed: ShardFile }[] = [];
    for (const file of files) sealed.push(await sealFile(this.#parts.pool, file, xorbs, this.#signal));
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

  async *#blocks(
    sources: Iterable<UploadSource> | AsyncIterable<UploadSource>,
    known: KnownChunks,
  ): AsyncGenerator<Block, void, undefined> {
    const { pool, makeHash } = this.#parts;
    const held = this.#held;
    const signal = this.#signal;
    for await (const source of sources) {
      const hash = makeHash(pool, signal);
      const [terms, rule, records] = [new FileTerms(), new FragmentationRule(), new ChunkRecordList()];
      const file = { hash, terms, rule, records, size: 0, sha256: '' };
      for await (const block of cutFile(source.bytes, hash, {
        pool,
        held,
        blockBytes: this.#blockBytes,
        blocks: this.#blockBuffers,
        signal,
      })) {
        file.size += block.bytes.length;
        if (block.endsFile) file.sha256 = await hash.digest();
        this.#note({ readBytes: block.bytes.length });
        const asked = known.ask(block, signal);
        asked.catch(this.#fail);
        yield { ...block, file, asked };
      }
    }
  }

  /** Decides about the chunks of a block, in file order, and hands on those that are to be stored. */
  async #place({ file, chunks, bytes, heldBytes, asked }: Block, known: KnownChunks): Promise<void> {
    await asked;
    const places = await known.look(chunks, this.#signal);
    const lengths = Uint32Array.from({ length: chunkCount(chunks) }, (_, position) => chunkLength(chunks, position));
    const chosen = choosePlaces(lengths, places, file.terms, file.rule, (position) => {
      const place = this.#packer.next(lengths[position] ?? 0);
      known.add(place.xorb, place.index, chunkSlice(chunks, position, position + 1));
      return place;
    });
    file.records.push(chunks);
    const parts = freshParts(bytes, chunks, chosen.places, chosen.fresh);
    const freshBytes = parts.reduce((sum, { data }) => sum + data.length, 0);
    this.#note({ knownBytes: bytes.length - freshBytes, refusedBytes: chosen.refusedBytes });
    const keptBytes = parts.reduce((sum, { data }) => sum + data.buffer.byteLength, 0);
    if (parts.every(({ data }) => data.buffer !== bytes.buffer)) this.#blockBuffers.give(bytes.buffer);
    for (const part of parts) await this.#xorbs.add(part);
    this.#held.moving--;
    this.#held.release(heldBytes - keptBytes);
  }

  async #register(groups: readonly ShardGroup<NamedXorb>[]): Promise<void> {
    const uploader = new ShardUploader(this.#parts);
    for (const group of groups) {
      const records = joinBytes(group.xorbs.map(({ records }) => records));
      const listed = group.xorbs.map(({ hash, count }) => ({ hash, count }));
      const shard = await this.#parts.pool.run(writeShard, records, [listed, group.files], this.#signal);
      this.#held.add(shard.length);
      await this.#xorbs.stored();
      await uploader.upload(shard, this.#signal);
      this.#held.release(shard.length);
    }
    // Also where there was nothing to register.
    await this.#xorbs.stored();
  }

  #note(more: Partial<UploadProgress>): void {
    for (const name of Object.keys(more) as (keyof UploadProgress)[]) this.#progress[name] += more[name] ?? 0;
    this.#options.onProgress?.({ ...this.#progress });
  }
}
