import type { ChunkRecords } from '../../core/chunks.ts';
import { XetError } from '../../core/errors.ts';
import type { ChunkRange } from '../../core/ranges.ts';
import {
  assertRun,
  assertXorb,
  type ChunkStoreOptions,
  checkRun,
  contiguousRecords,
  entriesWith,
  type HashChunk,
  partOfRun,
  rangesWithin,
  subtractRanges,
} from './chunk-runs.ts';
import type { ChunkRun, ChunkStore, ChunkStoreUsage } from './chunk-store.ts';
import { entryBytes } from './entry-format.ts';

interface Entry extends ChunkRange {
  xorb: string;
  run: ChunkRun;
  /** Counted against the limit. */
  bytes: number;
}

/** Size of an entry beside its bytes: objects and list entries. */
const OVERHEAD_BYTES = 512;

/** Opens a chunk store in memory, for places where nothing else works. */
export function memoryChunkStore(options: ChunkStoreOptions): ChunkStore {
  return new MemoryChunkStore(options);
}

class MemoryChunkStore implements ChunkStore {
  readonly #maxBytes: number;
  readonly #hash: HashChunk;
  /** Least recently used first. */
  readonly #entries = new Set<Entry>();
  readonly #byXorb = new Map<string, Set<Entry>>();
  #bytes = 0;
  #closed = false;

  constructor({ maxBytes, hash }: ChunkStoreOptions) {
    this.#maxBytes = maxBytes;
    this.#hash = hash;
  }

  async find(xorb: string, chunks: ChunkRange): Promise<ChunkRange[]> {
    return rangesWithin(this.#of(xorb), chunks);
  }

  async records(xorb: string, chunks: ChunkRange): Promise<ChunkRecords> {
    return contiguousRecords(this.#of(xorb), chunks, async ({ run }) => run.records);
  }

  async read(xorb: string, chunks: ChunkRange): Promise<ChunkRun | undefined> {
    if (chunks.start >= chunks.end) return undefined;
    for (const entry of entriesWith(this.#of(xorb), chunks.start)) {
      // Hashing yields, so another call may have removed the entry.
      if (!this.#entries.delete(entry)) continue;
      this.#entries.add(entry);
      const part = partOfRun(entry.run, { start: chunks.start, end: Math.min(chunks.end, entry.end) });
      // The caller owns the result, and may write to it.
      const copy = { chunks: part.chunks, records: part.records.slice(), bytes: part.bytes.slice() };
      const { good, damaged } = await checkRun(copy, this.#hash);
      if (damaged) this.#drop(entry);
      if (good) return good;
    }
    return undefined;
  }

  async put(xorb: string, run: ChunkRun): Promise<undefined> {
    assertRun(xorb, run);
    if (this.#closed) return;
    for (const chunks of subtractRanges(run.chunks, this.#of(xorb))) {
      const { records, bytes } = partOfRun(run, chunks);
      const kept = { chunks, records: records.slice(), bytes: bytes.slice() };
      const entry = { ...chunks, xorb, run: kept, bytes: entryBytes(kept) + OVERHEAD_BYTES };
      if (entry.bytes > this.#maxBytes) continue;
      this.#evict(this.#maxBytes - entry.bytes);
      this.#entries.add(entry);
      const siblings = this.#byXorb.get(xorb);
      if (siblings) siblings.add(entry);
      else this.#byXorb.set(xorb, new Set([entry]));
      this.#bytes += entry.bytes;
    }
  }

  async drop(xorb: string): Promise<void> {
    for (const entry of this.#of(xorb)) this.#drop(entry);
  }

  async usage(): Promise<ChunkStoreUsage> {
    this.#assertOpen();
    return { bytes: this.#bytes, entries: this.#entries.size };
  }

  async prune(maxBytes: number): Promise<number> {
    this.#assertOpen();
    const before = this.#bytes;
    this.#evict(maxBytes);
    return before - this.#bytes;
  }

  async clear(): Promise<void> {
    await this.prune(0);
  }

  async close(): Promise<void> {
    this.#evict(0);
    this.#closed = true;
  }

  #of(xorb: string): Entry[] {
    assertXorb(xorb);
    return [...(this.#byXorb.get(xorb) ?? [])];
  }

  #evict(maxBytes: number): void {
    for (const entry of this.#entries) {
      if (this.#bytes <= maxBytes) return;
      this.#drop(entry);
    }
  }

  #drop(entry: Entry): void {
    if (!this.#entries.delete(entry)) return;
    this.#bytes -= entry.bytes;
    const siblings = this.#byXorb.get(entry.xorb);
    siblings?.delete(entry);
    if (siblings?.size === 0) this.#byXorb.delete(entry.xorb);
  }

  #assertOpen(): void {
    if (this.#closed) throw new XetError('CLOSED', 'The chunk cache was closed.');
  }
}
