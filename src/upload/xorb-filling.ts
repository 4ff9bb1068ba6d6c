import type { CodecPool } from '../codec/pool.ts';
import { packInPlace, xorbHash } from '../codec/upload-operations.ts';
import { ChunkRecordList, type ChunkRecords, chunkCount, joinedLength, totalLength } from '../core/chunks.ts';
import { hashToHex } from '../core/hash.ts';
import { Lanes } from '../core/lanes.ts';
import type { RunBuffers } from '../xorb/buffers.ts';
import { FramePieces } from './frame-pieces.ts';
import type { FreshPart } from './fresh-parts.ts';
import type { HeldMemory } from './held-memory.ts';
import type { XorbUploader } from './xorb-upload.ts';

export interface FillingParts {
  pool: CodecPool;
  uploader: Pick<XorbUploader, 'upload' | 'copies'>;
  held: HeldMemory;
  /** Where memory of `blockBytes` comes from and goes to: that of chunks, and of the frames that they become. */
  blocks: RunBuffers;
  blockBytes: number;
  /** Xorbs that are sent at once. */
  posts: number;
  signal: AbortSignal;
  /** Told of what fails while nobody waits for it; it is to abort the signal. */
  onFailure: (error: unknown) => void;
  /** Told of each xorb that is stored: bytes that were sent for it, and bytes of its chunks. */
  onStored: (xorb: { sentBytes: number; storedBytes: number }) => void;
}

/** A xorb that has all of its chunks. */
export interface NamedXorb {
  hash: string;
  records: ChunkRecords;
  /** Chunks. */
  count: number;
}

/** A xorb that is being filled. */
interface OpenXorb {
  number: number;
  records: ChunkRecordList;
  frames: FramePieces;
  /** Bytes of memory that the frames take. */
  memory: number;
  /** When all frames so far are in their place. */
  filled: Promise<void>;
}

/** Fills xorbs one after the other with new chunks, and sends each when it is full, while the next one is filled. */
export class XorbFilling {
  readonly #parts: FillingParts;
  readonly #lanes: Lanes;
  #open: OpenXorb | undefined;
  /** By their numbers. */
  readonly #named: Promise<NamedXorb>[] = [];
  readonly #posts: Promise<void>[] = [];
  #sending = 0;

  constructor(parts: FillingParts) {
    this.#parts = parts;
    this.#lanes = new Lanes(parts.posts);
  }

  /** Adds chunks to the xorb that they go into, compressed as soon as a worker is free. */
  async add({ xorb, data, records }: FreshPart): Promise<void> {
    const { pool, held, blocks, blockBytes, signal, onFailure } = this.#parts;
    if (this.#open?.number !== xorb) await this.#close();
    this.#open ??= {
      number: xorb,
      records: new ChunkRecordList(),
      frames: new FramePieces(blocks, blockBytes),
      memory: 0,
      filled: Promise.resolve(),
    };
    const open = this.#open;
    open.records.push(records);
    held.moving++;
    const rawBytes = data.buffer.byteLength;
    let spent: ArrayBufferLike | undefined;
    const onSpent = (memory: ArrayBufferLike) => {
      spent = memory;
    };
    // A xorb is nothing but its frames, so it can be made piece by piece: no worker ever holds all of it.
    const packed = pool.run(packInPlace, data, [records], signal, onSpent);
    packed.catch(onFailure);
    open.filled = open.filled.then(async () => {
      const frames = await packed;
      if (spent && spent !== frames.buffer) blocks.give(spent);
      const memory = open.frames.push(frames);
      open.memory += memory;
      held.add(memory);
      held.moving--;
      held.release(rawBytes);
    });
    open.filled.catch(onFailure);
  }

  /** Nothing more is added. Gives all xorbs, by their numbers, once they have names; they may still be on their way. */
  async end(): Promise<NamedXorb[]> {
    await this.#close();
    return Promise.all(this.#named);
  }

  /** Waits until all xorbs are stored; what went wrong was told. */
  async stored(): Promise<void> {
    await Promise.all(this.#posts);
    this.#parts.signal.throwIfAborted();
  }

  /** Sends the xorb that is being filled; waits only while enough others are on their way. */
  async #close(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    const { held, signal, onFailure } = this.#parts;
    this.#open = undefined;
    held.moving++;
    await this.#lanes.enter(() => false, signal);
    const named = this.#name(open);
    named.catch(onFailure);
    this.#named.push(named);
    this.#posts.push(named.then((xorb) => this.#post(xorb, open)).catch(onFailure));
  }

  async #name({ filled, records: list }: OpenXorb): Promise<NamedXorb> {
    await filled;
    const { pool, signal } = this.#parts;
    const records = list.records.slice();
    const hash = hashToHex(await pool.run(xorbHash, records.slice(), [], signal));
    return { hash, records, count: chunkCount(records) };
  }

  async #post({ hash, records }: NamedXorb, { frames, memory }: OpenXorb): Promise<void> {
    const { uploader, held, blocks, signal, onStored } = this.#parts;
    const pieces = frames.take();
    const copied = uploader.copies * joinedLength(pieces);
    await held.acquire(copied, () => this.#sending === 0, signal);
    this.#sending++;
    const { sentBytes, body } = await uploader.upload(hash, pieces, signal);
    for (const { buffer } of body) blocks.give(buffer);
    this.#sending--;
    held.moving--;
    held.release(copied + memory);
    this.#lanes.leave();
    onStored({ sentBytes, storedBytes: totalLength(records) });
  }
}
