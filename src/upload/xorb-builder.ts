import type { CodecPool } from '../codec/pool.ts';
import { packInPlace, xorbHash } from '../codec/upload-operations.ts';
import { ChunkRecordList, type ChunkRecords, chunkCount, joinedLength, totalLength } from '../core/chunks.ts';
import { hashToHex } from '../core/hash.ts';
import { Lanes } from '../core/lanes.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import type { MemoryLease } from './memory-lease.ts';
import type { NewChunks } from './xorb-packer.ts';
import type { XorbUploader } from './xorb-upload.ts';

interface XorbBuilderContext {
  pool: CodecPool;
  uploader: Pick<XorbUploader, 'upload' | 'copies'>;
  lease: MemoryLease;
  /** Buffers of `blockBytes`, for chunks and for the frames made of them. */
  blocks: RunBuffers;
  blockBytes: number;
  /** Maximum number of xorbs sent at once. */
  maxPosts: number;
  signal: AbortSignal;
  /** Called with failures in the background; it must abort the signal. */
  onFailure: (error: unknown) => void;
  /** Called for each stored xorb with the bytes sent for it and the bytes of its chunks. */
  onStored: (xorb: { sentBytes: number; storedBytes: number }) => void;
}

/** A xorb that has all of its chunks. */
export interface FinishedXorb {
  hash: string;
  records: ChunkRecords;
  /** Number of chunks. */
  count: number;
}

/** A xorb that is being filled. */
interface OpenXorb {
  number: number;
  records: ChunkRecordList;
  frames: FramePieces;
  /** Memory of the frames, in bytes. */
  memoryBytes: number;
  /** Resolves when all frames so far have been added. */
  filled: Promise<void>;
}

/** Fills xorbs with new chunks one after the other, and sends each full one while the next is filled. */
export class XorbBuilder {
  readonly #parts: XorbBuilderContext;
  readonly #lanes: Lanes;
  #open: OpenXorb | undefined;
  /** Xorbs by number, once their hash is known. */
  readonly #finished: Promise<FinishedXorb>[] = [];
  readonly #posts: Promise<void>[] = [];
  #sending = 0;

  constructor(parts: XorbBuilderContext) {
    this.#parts = parts;
    this.#lanes = new Lanes(parts.maxPosts);
  }

  /** Adds chunks to their xorb, and starts compressing them. */
  async add({ xorb, data, records }: NewChunks): Promise<void> {
    const { pool, lease, blocks, blockBytes, signal, onFailure } = this.#parts;
    if (this.#open?.number !== xorb) await this.#close();
    this.#open ??= {
      number: xorb,
      records: new ChunkRecordList(),
      frames: new FramePieces(blocks, blockBytes),
      memoryBytes: 0,
      filled: Promise.resolve(),
    };
    const open = this.#open;
    open.records.push(records);
    const raw = lease.send(data.buffer.byteLength);
    let spent: ArrayBufferLike | undefined;
    const onSpent = (memory: ArrayBufferLike) => {
      spent = memory;
    };
    // A xorb consists of its frames, so it is built piece by piece, and no worker holds all of it.
    const packed = pool.run(packInPlace, data, [records], signal, onSpent);
    packed.catch(onFailure);
    open.filled = open.filled.then(async () => {
      const frames = await packed;
      if (spent && spent !== frames.buffer) blocks.give(spent);
      const memoryBytes = open.frames.push(frames);
      open.memoryBytes += memoryBytes;
      lease.add(memoryBytes);
      raw.end();
    });
    open.filled.catch(onFailure);
  }

  /** Finishes the last xorb. Resolves to all xorbs by number; they may still be being sent. */
  async finish(): Promise<FinishedXorb[]> {
    await this.#close();
    return Promise.all(this.#finished);
  }

  /** Resolves when all xorbs are stored, rejects if the signal was aborted. */
  async stored(): Promise<void> {
    await Promise.all(this.#posts);
    this.#parts.signal.throwIfAborted();
  }

  /** Starts sending the open xorb. Waits only while the maximum number of others is being sent. */
  async #close(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    const { lease, signal, onFailure } = this.#parts;
    this.#open = undefined;
    const sending = lease.send(0);
    await this.#lanes.enter(() => false, signal);
    const finished = this.#hash(open);
    finished.catch(onFailure);
    this.#finished.push(finished);
    const post = async () => {
      await this.#post(await finished, open);
      sending.end();
      this.#lanes.leave();
    };
    this.#posts.push(post().catch(onFailure));
  }

  async #hash({ filled, records: list }: OpenXorb): Promise<FinishedXorb> {
    await filled;
    const { pool, signal } = this.#parts;
    const records = list.records.slice();
    const hash = hashToHex(await pool.run(xorbHash, records.slice(), [], signal));
    return { hash, records, count: chunkCount(records) };
  }

  async #post({ hash, records }: FinishedXorb, { frames, memoryBytes }: OpenXorb): Promise<void> {
    const { uploader, lease, blocks, signal, onStored } = this.#parts;
    const pieces = frames.take();
    const copied = uploader.copies * joinedLength(pieces);
    await lease.acquire(copied, () => this.#sending === 0, signal);
    this.#sending++;
    const { sentBytes, body } = await uploader.upload(hash, pieces, signal);
    for (const { buffer } of body) blocks.give(buffer);
    this.#sending--;
    lease.release(copied + memoryBytes);
    onStored({ sentBytes, storedBytes: totalLength(records) });
  }
}

/**
 * The frames of an open xorb, in pieces: large runs of frames stay where they are, small ones are copied together. No
 * buffer is as large as a xorb.
 */
export class FramePieces {
  readonly #blocks: RunBuffers;
  readonly #blockBytes: number;
  readonly #pieces: Uint8Array[] = [];
  /** Buffer that collects small runs, and its fill level. */
  #open: Uint8Array = NOTHING;
  #openBytes = 0;

  /** @param blocks buffers of `blockBytes` */
  constructor(blocks: RunBuffers, blockBytes: number) {
    this.#blocks = blocks;
    this.#blockBytes = blockBytes;
  }

  /** Adds frames, and takes over their memory. Returns the bytes by which the memory of all pieces grew. */
  push(frames: Uint8Array): number {
    if (frames.length > this.#blockBytes / 4) {
      this.#close();
      this.#pieces.push(frames);
      return frames.buffer.byteLength;
    }
    const begins = this.#openBytes + frames.length > this.#open.length;
    if (begins) {
      this.#close();
      this.#open = this.#blocks.take(this.#blockBytes);
    }
    this.#open.set(frames, this.#openBytes);
    this.#openBytes += frames.length;
    this.#blocks.give(frames.buffer);
    return begins ? this.#blockBytes : 0;
  }

  /** Removes and returns all pieces. */
  take(): Uint8Array[] {
    this.#close();
    return this.#pieces.splice(0);
  }

  #close(): void {
    if (this.#openBytes > 0) this.#pieces.push(this.#open.subarray(0, this.#openBytes));
    this.#open = NOTHING;
    this.#openBytes = 0;
  }
}

const NOTHING = new Uint8Array();
