import type { MemoryBudget } from '../core/budget.ts';
import { type ByteRange, without } from '../core/ranges.ts';

/** One fetch, as the memory sees it. */
export interface Fetched {
  /** Time of its beginning, on the memory's own clock. */
  readonly since: number;
  /** True if the fetch brought a whole verified file. */
  verified: boolean;
}

/** Content that was read a moment ago. */
interface Block extends ByteRange {
  file: string;
  bytes: Uint8Array;
  fetched: Fetched;
  /** Time of its last use, on the memory's own clock. */
  used: number;
}

/** At most so much is kept, in bytes, and no more than a part of the budget. */
const MAX_BYTES = 16 * 1024 * 1024;
const BUDGET_PART = 8;
/** Of everything that is kept no file's single fetch may take more than this part: it would push out all others. */
const FETCH_PART = 4;
/** Kept whatever else is in the budget: without it a small read would be fetched again for its neighbour. */
const MIN_BYTES = 1024 * 1024;
/** Bytes of a block: what goes, goes in such pieces. */
const BLOCK_BYTES = 128 * 1024;
/** Overhead of a block in bytes: objects and list entries. */
const OVERHEAD_BYTES = 256;

/**
 * Content of the small reads of a client, for the next ones: bytes by file and offset, those used longest ago go
 * first. It counts against the budget for data in flight, and makes room for nobody: it is a small part of it.
 */
export class ReadCache {
  readonly limitBytes: number;
  /** Largest fetch that is kept, in bytes. */
  readonly fetchBytes: number;
  readonly #budget: MemoryBudget;
  /** By file, ascending, apart from each other. */
  readonly #files = new Map<string, Block[]>();
  /** In the order of their last use. */
  readonly #order = new Set<Block>();
  #bytes = 0;
  #clock = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
    this.limitBytes = Math.floor(Math.min(MAX_BYTES, budget.limitBytes / BUDGET_PART));
    this.fetchBytes = Math.floor(this.limitBytes / FETCH_PART);
  }

  /** Bytes that are kept, and what keeping them takes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** To be called when a fetch begins. */
  begin(): Fetched {
    return { since: this.#now(), verified: false };
  }

  /** Parts of a range that are here: ascending, apart from each other. */
  held(file: string, range: ByteRange): ByteRange[] {
    return this.#within(file, range).map(({ start, end }) => ({ start, end }));
  }

  /** Copies what is here of a range to its place in `into`, and gives what is not. */
  copy(file: string, range: ByteRange, into: Uint8Array): ByteRange[] {
    const blocks = this.#within(file, range);
    for (const block of blocks) {
      const start = Math.max(range.start, block.start);
      const end = Math.min(range.end, block.end);
      into.set(block.bytes.subarray(start - block.start, end - block.start), start - range.start);
      this.#touch(block);
    }
    return without(range, blocks);
  }

  /**
   * Keeps content as far as there is room. Nothing is pushed out that was used since the fetch began: what that
   * brought first is wanted first.
   */
  put(file: string, at: number, bytes: Uint8Array, fetched: Fetched): void {
    const whole = { start: at, end: at + bytes.length };
    const had = this.#within(file, whole);
    for (const block of had) this.#touch(block);
    for (const part of without(whole, had)) {
      for (let start = part.start; start < part.end; start += BLOCK_BYTES) {
        const end = Math.min(part.end, start + BLOCK_BYTES);
        if (!this.#makeRoom(end - start + OVERHEAD_BYTES, fetched.since)) return;
        this.#add({ file, start, end, bytes: bytes.slice(start - at, end - at), fetched, used: this.#now() });
      }
    }
  }

  /** True if the whole range is held and verified. */
  isVerified(file: string, range: ByteRange): boolean {
    const blocks = this.#within(file, range);
    return blocks.length > 0 && blocks.every(({ fetched }) => fetched.verified) && without(range, blocks).length === 0;
  }

  drop(file: string): void {
    for (const block of [...(this.#files.get(file) ?? [])]) this.#remove(block);
  }

  clear(): void {
    for (const block of [...this.#order]) this.#remove(block);
  }

  #now(): number {
    return ++this.#clock;
  }

  #within(file: string, range: ByteRange): Block[] {
    return (this.#files.get(file) ?? []).filter(({ start, end }) => start < range.end && range.start < end);
  }

  #touch(block: Block): void {
    block.used = this.#now();
    this.#order.delete(block);
    this.#order.add(block);
  }

  #makeRoom(bytes: number, since: number): boolean {
    for (;;) {
      const least = this.#bytes + bytes <= Math.min(MIN_BYTES, this.limitBytes);
      if (this.#bytes + bytes <= this.limitBytes && this.#budget.tryAcquire(bytes, least)) return true;
      const [oldest] = this.#order;
      if (!oldest || oldest.used > since) return false;
      this.#remove(oldest);
    }
  }

  #add(block: Block): void {
    const blocks = this.#files.get(block.file) ?? [];
    const after = blocks.findIndex(({ start }) => start > block.start);
    blocks.splice(after < 0 ? blocks.length : after, 0, block);
    this.#files.set(block.file, blocks);
    this.#order.add(block);
    this.#bytes += sizeOf(block);
  }

  #remove(block: Block): void {
    if (!this.#order.delete(block)) return;
    const rest = (this.#files.get(block.file) ?? []).filter((one) => one !== block);
    if (rest.length > 0) this.#files.set(block.file, rest);
    else this.#files.delete(block.file);
    this.#bytes -= sizeOf(block);
    this.#budget.release(sizeOf(block));
  }
}

const sizeOf = ({ bytes }: Block) => bytes.length + OVERHEAD_BYTES;
